import { parseArgs } from "node:util";
import { placementIn } from "../service/placement.ts";
import { attempt, exitCodeOf, StartError } from "../service/start-error.ts";
import type { Environment } from "../service/variables.ts";
import { type ServiceName, serviceNames } from "../topology.ts";
import { instancesMax, readInstances } from "./instances.ts";
import { portStep } from "./ports.ts";
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

const usage = `Usage: npm start [-- --instances N]

Starts the User Service, the Order Service and the API Gateway, and keeps them running until Ctrl+C.

Options:
  --instances N          so many processes of each service, or such as users=2,orders=3 (1 to ${instancesMax}); those with
                         a store need a database that they share. The second of each listens ${portStep} ports above the first

Environment:
  FLOTILLA_INSTANCES     as --instances
  FLOTILLA_USERS_STORE   postgres://USER:PASSWORD@HOST/DATABASE; default: a file of SQLite. FLOTILLA_ORDERS_STORE likewise
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
  const screen = makeScreen({ out, err, env });
  try {
    const { help, instances: wanted = env.FLOTILLA_INSTANCES || undefined } = readArgs(args);
    if (help) {
      out.write(usage);
      return 0;
    }
    const problems: string[] = [];
    const placement = placementIn(env, serviceNames, problems);
    const instances = attempt(() => readInstances(wanted, env), problems);
    if (!instances || problems.length > 0) throw new StartError("bad_settings", problems.join("\n"));
    const startedMs = performance.now();
    const system = startSystem({ placement, instances, env, report: screen.show, ...(entryOf && { entryOf }) });
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

function readArgs(args: readonly string[]): { readonly help?: boolean; readonly instances?: string } {
  try {
    const options = { help: { type: "boolean", short: "h" }, instances: { type: "string" } } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new StartError("bad_settings", `${(error as Error).message}. See: npm start -- --help`);
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
