import { type Environment, readPlacement } from "../service/placement.ts";
import { exitCodeOf, StartError } from "../service/start-error.ts";
import type { ServiceName } from "../topology.ts";
import { makeScreen, type Output, type Screen } from "./screen.ts";
import { onStopSignals } from "./stop-signals.ts";
import { type System, startSystem } from "./system.ts";

export interface RunOptions {
  readonly args: readonly string[];
  readonly env: Environment;
  readonly out: Output;
  readonly err: Output;
  /** The file to run for a service; default: the one in the topology. */
  readonly entryOf?: (name: ServiceName) => string;
  /** Ends this process at once: what a second Ctrl+C does when everything was killed. */
  readonly exit: (code: number) => void;
}

const usage = `Usage: npm start

Starts the User Service, the Order Service and the API Gateway, and keeps them running until Ctrl+C.

Environment:
  FLOTILLA_GATEWAY_PORT  8080     FLOTILLA_USERS_PORT  8081     FLOTILLA_ORDERS_PORT  8082     (0: any free port)
  FLOTILLA_HOST          127.0.0.1
  FLOTILLA_DATA          data directory; default: data in the repository
  FLOTILLA_MODE          development (default) or production
  FLOTILLA_LOG_LEVEL     of the services

Exit codes: 0 stopped in good order, 1 a service failed, 2 the settings, a port or the data directory need attention,
130 stopped at once by a second Ctrl+C.
`;

/** The whole of `npm start`. Resolves with the exit code when the system ended. */
export async function run({ args, env, out, err, entryOf, exit }: RunOptions): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    out.write(usage);
    return 0;
  }
  const screen = makeScreen({ out, err, env });
  if (args.length > 0) {
    screen.showError(`Unknown argument ${args[0]}. See: npm start -- --help`);
    return 2;
  }
  try {
    const placement = readPlacement(env);
    const startedMs = performance.now();
    const system = startSystem({ placement, env, report: screen.show, ...(entryOf && { entryOf }) });
    using _ = stopWith(system, screen, exit);
    const ready = await system.ready.catch((error: unknown) => {
      if (error instanceof StartError && error.reason === "stopped") return undefined;
      throw error;
    });
    if (ready) screen.showReady(ready, placement, performance.now() - startedMs);
    const { drained } = await system.done;
    screen.showStopped(drained);
    return drained ? 0 : 1;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    screen.showError(error.message);
    return exitCodeOf(error);
  }
}

/** Stops the system on Ctrl+C, and kills it on the second. */
function stopWith(system: System, screen: Screen, exit: (code: number) => void): Disposable {
  const off = onStopSignals({
    first() {
      screen.showStopping();
      void system.stop();
    },
    again() {
      void system.kill();
      exit(130);
    },
  });
  return { [Symbol.dispose]: off };
}
