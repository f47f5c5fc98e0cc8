import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const launcher = fileURLToPath(new URL("../shop/cli/launch.js", import.meta.url));

/** How one run of `flotilla` ended. */
export interface Ran {
  readonly code: number | NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** What it finds on its standard input, which is no terminal. */
  readonly input?: string;
  /** Is given the process when the input was written to it, which stays open then. */
  readonly onRead?: (kill: (signal: NodeJS.Signals) => void) => void;
  readonly env?: Readonly<Record<string, string>>;
  /** Is given the process when it was started; for signals. */
  readonly onStart?: (kill: (signal: NodeJS.Signals) => void) => void;
  /** Is given each piece of its stderr. */
  readonly onErr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** `flotilla` as a process of its own, with a home of its own that is removed with this. */
export interface Cli extends Disposable {
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  run(args: readonly string[], options?: RunOptions): Promise<Ran>;
  /** The document on its stdout; throws when it fails. */
  json(args: readonly string[], options?: RunOptions): Promise<unknown>;
  /** Logs in one of the demo's users, as a profile of that name. */
  login(username: string): Promise<void>;
}

/** A way to the gateway on which is heard what is called. */
export interface Wiretap {
  readonly url: string;
  /** The methods that were called in batches since the last time. */
  heard(): string[];
  close(): void;
}

export async function tap(gatewayUrl: string): Promise<Wiretap> {
  let text = "";
  const server = createServer((client) => {
    const { hostname, port } = new URL(gatewayUrl);
    const gateway = connect(Number(port), hostname);
    client.on("data", (bytes) => (text += bytes.toString("latin1")));
    client.pipe(gateway).pipe(client);
    for (const socket of [client, gateway]) socket.on("error", () => [client, gateway].map((it) => it.destroy()));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard() {
      const methods = [...text.matchAll(/\["pipeline",-?\d+,\["(\w+)"\]/g)].map(([, method = ""]) => method);
      text = "";
      return [...new Set(methods)];
    },
    close: () => void server.close(),
  };
}

/** Commands that take longer hang. Milliseconds. */
const hangMs = 60_000;

export function makeCli(env: Readonly<Record<string, string>>): Cli {
  const home = mkdtempSync(join(tmpdir(), "flotilla-cli-"));
  const own = { PATH: process.env.PATH ?? "", HOME: home, XDG_CONFIG_HOME: join(home, "config"), ...env };
  const cli: Cli = {
    home,
    env: own,
    run(args, options = {}) {
      return start(args, { ...options, env: { ...own, ...options.env } });
    },
    async json(args, options) {
      const { code, out, err } = await cli.run([...args, "--json"], options);
      if (code !== 0 || err !== "") throw new Error(`flotilla ${args.join(" ")}: ${code} ${err}`);
      return JSON.parse(out);
    },
    async login(username) {
      await cli.json(["login", username, "--password-stdin", "--profile", username], { input: "password\n" });
    },
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
  return cli;
}

function start(args: readonly string[], { input = "", env = {}, onRead, onStart, onErr }: RunOptions): Promise<Ran> {
  const child = spawn(process.execPath, [launcher, ...args], { env, stdio: "pipe" });
  const kill = (signal: NodeJS.Signals) => void child.kill(signal);
  const hang = setTimeout(() => kill("SIGKILL"), hangMs);
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
    onErr?.(text, kill);
  });
  // One that reads no input may be gone before it is written.
  child.stdin.on("error", () => undefined);
  if (onRead) child.stdin.write(input, (lost) => lost || onRead(kill));
  else child.stdin.end(input);
  onStart?.(kill);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(hang);
      resolve({ code: code ?? signal, ...said });
    });
  });
}
