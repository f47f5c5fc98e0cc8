import { type ChildProcess, spawn } from "node:child_process";
import { compileCacheVariables } from "../compile-cache.js";
import type { Environment } from "../service/variables.ts";
import { exitUsage, StartError } from "../service/start-error.ts";
import type { ProcessName } from "../topology.ts";
import { type Backoff, restartDelayMs } from "./backoff.ts";
import type { Report } from "./events.ts";
import { type HeartbeatOptions, watchHeartbeat } from "./heartbeat.ts";
import { readLines } from "./lines.ts";
import { untilReady } from "./readiness.ts";

/** Of a service's stderr, what is shown again when it crashes. */
const lastLinesMax = 10;

export interface ServiceOptions {
  readonly name: ProcessName;
  /** Absolute path of the file Node runs. */
  readonly entry: string;
  /** The whole environment of the process. */
  readonly env: Environment;
  /** Where it answers `/readyz`. */
  readonly url: string;
  readonly backoff: Backoff;
  readonly heartbeat: HeartbeatOptions;
  readonly random: () => number;
  readonly report: Report;
}

type State = "new" | "running" | "waiting" | "stopping" | "ended";

/** One process that is kept running until it is stopped. Once stopped it does not start again. */
export class Service {
  readonly #options: ServiceOptions;
  readonly #firstReady = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #state: State = "new";
  #process: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #wasReady = false;
  #crashes = 0;
  #drained = true;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#firstReady.promise.catch(() => undefined);
  }

  /** Resolves when the process ended for good, after `stop` or `kill` or a failed start. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get name(): ProcessName {
    return this.#options.name;
  }

  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** Whether it ended by itself when it was asked to. */
  get drained(): boolean {
    return this.#drained;
  }

  /** Resolves when the service is ready for the first time. Rejects with `StartError` when it ends before. */
  start(): Promise<void> {
    if (this.#state === "new") this.#spawn();
    return this.#firstReady.promise;
  }

  /** Asks the process to drain and end. Once: a service takes a second request for impatience. */
  stop(): void {
    if (!this.#process) {
      this.#end();
      return;
    }
    if (this.#state === "stopping") return;
    this.#state = "stopping";
    // Windows has no SIGTERM one can answer; there, as after our own death, the closed channel is the request.
    if (process.platform !== "win32") this.#process.kill("SIGTERM");
    else if (this.#process.connected) this.#process.disconnect();
  }

  /** Ends the process now. */
  kill(): void {
    if (!this.#process) {
      this.#end();
      return;
    }
    this.#state = "stopping";
    this.#drained = false;
    this.#process.kill("SIGKILL");
  }

  #spawn(): void {
    const { name, entry, env, url, heartbeat, report } = this.#options;
    this.#state = "running";
    const startedMs = performance.now();
    // The channel carries notices; its end tells the service that we are gone, however we went.
    const child = spawn(process.execPath, [entry], {
      env: { ...compileCacheVariables(), ...env },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      // Out of our process group: Ctrl+C in the terminal is for us alone, who stop the services in order.
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    this.#process = child;
    const lastLines: string[] = [];
    const onLine = (line: string): void => {
      lastLines.push(line);
      if (lastLines.length > lastLinesMax) lastLines.shift();
      report({ type: "line", service: name, line });
    };
    if (child.stderr) readLines(child.stderr, onLine);
    child.on("error", (error) => onLine(error.message));
    child.on("message", (message) => {
      const text = noticeIn(message);
      if (text !== undefined) report({ type: "notice", service: name, text });
    });

    const watch = new AbortController();
    let readyMs: number | undefined;
    const endHeartbeat = watchHeartbeat(child, heartbeat, (silentMs) => {
      report({ type: "unresponsive", service: name, silentMs });
      // Nothing less reaches it. Its end counts as a crash, and it is started again.
      child.kill("SIGKILL");
    });
    void untilReady(url, watch.signal).then((ready) => {
      if (!ready || this.#state !== "running") return;
      readyMs = performance.now();
      this.#wasReady = true;
      report({ type: "ready", service: name, url, afterMs: readyMs - startedMs });
      this.#firstReady.resolve();
    });

    // `close`, not `exit`: by then the last words of the process were read.
    child.once("close", (code, signal) => {
      watch.abort();
      endHeartbeat();
      this.#process = undefined;
      const exit: Exit = { code, signal, lastLines, upMs: readyMs === undefined ? 0 : performance.now() - readyMs };
      if (this.#state === "stopping") this.#stopped(exit);
      else if (this.#wasReady) this.#restartLater(exit);
      else this.#failed(exit);
    });
  }

  #stopped({ code, signal }: Exit): void {
    // A process that was still loading dies of the signal itself; it had nothing to drain.
    if (code !== 0 && signal !== "SIGTERM" && signal !== "SIGINT") this.#drained = false;
    this.#options.report({ type: "stopped", service: this.#options.name, how: describe({ code, signal }) });
    this.#end();
  }

  #failed(exit: Exit): void {
    const said = exit.lastLines.map((line) => `\n    ${line}`).join("");
    const reason = exit.code === exitUsage ? "service_refused" : "service_failed";
    this.#firstReady.reject(
      new StartError(reason, `${this.#options.name} ended before it was ready (${describe(exit)})${said}`),
    );
    this.#end();
  }

  #restartLater({ upMs, lastLines, ...exit }: Exit): void {
    const { name, backoff, random, report } = this.#options;
    if (upMs >= backoff.forgiveMs) this.#crashes = 0;
    if (exit.code !== 0) this.#crashes += 1;
    const restartInMs = restartDelayMs(this.#crashes, backoff, random);
    this.#state = "waiting";
    this.#restart = setTimeout(() => this.#spawn(), restartInMs);
    const told = { service: name, how: describe(exit), restartInMs };
    if (exit.code === 0) report({ type: "ended", ...told });
    else report({ type: "crashed", ...told, lastLines, crashes: this.#crashes });
  }

  #end(): void {
    clearTimeout(this.#restart);
    this.#state = "ended";
    this.#firstReady.reject(new StartError("stopped", `${this.#options.name} was stopped before it was ready`));
    this.#ended.resolve();
  }
}

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lastLines: readonly string[];
  /** Since it was ready; 0 when it never was. */
  readonly upMs: number;
}

/** The text of `{ type: "notice", text }`; a service may send other messages, which are not for us. */
function noticeIn(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("type" in message) || !("text" in message)) return undefined;
  return message.type === "notice" && typeof message.text === "string" ? message.text : undefined;
}

function describe({ code, signal }: Pick<Exit, "code" | "signal">): string {
  return signal ? `killed by ${signal}` : `exit code ${code}`;
}
