import { once } from "node:events";
import { StartError, exitCodeOf as startExitCodeOf } from "../service/start-error.ts";
import { type Environment, settingProblems } from "../service/variables.ts";
import type { Output } from "../supervisor/screen.ts";
import { onStopSignals } from "../supervisor/stop-signals.ts";
import type { SystemOptions } from "../supervisor/system.ts";
import { gatewayUrlDefault } from "../topology.ts";
import { toCliError } from "./cli-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { findGateway } from "./find-gateway.ts";
import { failure, messageOf } from "./format.ts";
import { makeGatewayClient } from "./gateway-client.ts";
import { type PrivateSystem, startPrivateSystem } from "./private-system.ts";
import { stopExitCodes } from "./stop-exit-codes.ts";
import { runTenSteps } from "./ten-steps.ts";
import { say } from "./text.ts";

export interface DemoOptions extends Pick<SystemOptions, "entryOf"> {
  readonly env: Environment;
  /** Longest wait for a gateway that is not ready. */
  readonly timeoutMs: number;
  readonly out: Output;
  readonly err: Output;
  /** Ends this process at once, for the person who presses Ctrl+C twice. */
  readonly exit: (code: number) => void;
}

/** The whole of `flotilla demo`. Resolves with the exit code when nothing of it is left running. */
export async function runDemo({ env, timeoutMs, out, err, exit, entryOf }: DemoOptions): Promise<number> {
  const interrupted = new AbortController();
  let own: PrivateSystem | undefined;
  let exitCode = 0;
  const off = onStopSignals({
    first(signal) {
      exitCode = stopExitCodes[signal];
      interrupted.abort();
    },
    again(signal) {
      void own?.kill();
      exit(stopExitCodes[signal]);
    },
  });
  try {
    const problems = settingProblems(env);
    if (problems.length > 0) throw new StartError("bad_settings", problems.join("\n"));
    const given = (env.FLOTILLA_GATEWAY_URL || gatewayUrlDefault).replace(/\/+$/, "");
    const steps = async (): Promise<void> => {
      let url = given;
      const onWait = (state: string) => err.write(String(say`The gateway at ${given} is ${state}; waiting for it\n`));
      if (!(await findGateway(given, { timeoutMs, signal: interrupted.signal, onWait }))) {
        if (interrupted.signal.aborted) return;
        err.write(String(say`No gateway at ${given}; starting a private one\n`));
        own = startPrivateSystem(env, entryOf ? { entryOf } : {});
        url = await own.url;
      }
      await runTenSteps(makeGatewayClient(url), (line) => {
        if (!interrupted.signal.aborted) out.write(String(say`${line}\n`));
      });
    };
    await Promise.race([steps(), once(interrupted.signal, "abort")]);
  } catch (error) {
    const { code, detail } = toCliError(error);
    err.write(String(say`${failure(messageOf(error))}\n`));
    if (detail.hint !== undefined) err.write(String(say`     ${detail.hint}\n`));
    exitCode = error instanceof StartError ? startExitCodeOf(error) : exitCodeOf(code);
  } finally {
    await own?.stop();
    off();
  }
  return exitCode;
}
