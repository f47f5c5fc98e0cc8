import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { PostgresPlace } from "../shop/service/postgres-place.ts";
import { freePort } from "./free-port.ts";

/** Where Debian has what is not on the PATH, by version. */
const debian = "/usr/lib/postgresql";
/** Starting one, or waiting for it to end, hangs if it takes so long. Milliseconds. */
const hangMs = 30_000;

const binaries = findBinaries();

/** Why there is no PostgreSQL to test with; undefined if there is. Where CI runs there has to be. */
export const whyNoPostgres = binaries ? undefined : "the Debian package postgresql is not installed";
if (whyNoPostgres && process.env.CI) throw new Error(`In CI nothing is left out: ${whyNoPostgres}`);

function findBinaries(): string | undefined {
  if (!existsSync(debian)) return undefined;
  const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(debian, version, "bin")).find((path) => existsSync(join(path, "initdb")));
}

/** Servers refuse to run as root. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync("/etc/passwd", "utf8")) ?? [];
  return { uid: Number(uid ?? 65_534), gid: Number(gid ?? 65_534) };
}

export interface PostgresOptions {
  /** Whether what is acknowledged outlives the machine: slow, so only where it matters. */
  readonly isDurable?: boolean;
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[];
}

/** A private server of PostgreSQL; disposing it ends its processes and removes its files. */
export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  /** Where `database` of it is, over TCP; over the Unix socket is `?host=` of `directory`. */
  url(database?: string): string;
  /** For the environment of services: a schema for each that has a store. */
  stores(): Record<string, string>;
  /** A schema of its own for each call, or a database, empty. */
  place(): PostgresPlace;
  /** Runs `sql` as the superuser; the rows of its last statement. */
  sql<Row extends object = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** By SIGINT: sessions are ended, transactions rolled back. */
  stop(): Promise<void>;
  /** By SIGKILL of every process of it. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** A standby that has all that this one has, and streams what comes; no commit is acknowledged that it does not have. */
  synchronousStandby(): Promise<PostgresServer>;
  promote(): Promise<void>;
  /** By SIGSTOP of every process of it. */
  pause(): void;
  resume(): void;
}

export async function startPostgres({
  isDurable = false,
  settings = [],
}: PostgresOptions = {}): Promise<PostgresServer> {
  const directory = makeDirectory();
  run("initdb", ["-D", join(directory, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
  const durability = isDurable ? [] : ["fsync=off", "full_page_writes=off"];
  const server = makeServer(directory, [...durability, "max_connections=200", ...settings]);
  await server.start();
  return server;
}

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-pg-"));
  const { uid, gid } = owner();
  if (uid !== undefined && gid !== undefined) chownSync(directory, uid, gid);
  return directory;
}

function run(program: string, args: readonly string[]): string {
  const options = { ...owner(), cwd: "/", encoding: "utf8", timeout: hangMs, stdio: "pipe" } as const;
  return execFileSync(join(binaries!, program), args, options);
}

function makeServer(directory: string, settings: readonly string[]): PostgresServer {
  let process_: ChildProcess | undefined;
  let port = 0;
  let schemas = 0;
  const standbys: PostgresServer[] = [];

  async function start(): Promise<void> {
    port ||= await freePort();
    const all = [`port=${port}`, "listen_addresses=127.0.0.1", `unix_socket_directories=${directory}`, ...settings];
    const args = ["-D", join(directory, "data"), ...all.flatMap((line) => ["-c", line])];
    const started = spawn(join(binaries!, "postgres"), args, {
      ...owner(),
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
    });
    process_ = started;
    const said: string[] = [];
    for await (const line of createInterface({ input: started.stderr! })) {
      said.push(line);
      if (/database system is ready to accept/.test(line)) {
        started.stderr!.resume();
        return;
      }
    }
    throw new Error(`PostgreSQL did not start:\n${said.join("\n")}`);
  }

  async function end(how: () => void): Promise<void> {
    if (!process_ || process_.exitCode !== null || process_.signalCode !== null) return;
    const closed = once(process_, "exit", { signal: AbortSignal.timeout(hangMs) });
    how();
    await closed;
  }

  const stop = () => end(() => process_?.kill("SIGINT"));
  const url = (database = "postgres") => `postgres://postgres@127.0.0.1:${port}/${database}`;

  return {
    directory,
    get port() {
      return port;
    },
    url,
    stores: () => ({
      FLOTILLA_USERS_STORE: `${url()}?schema=users`,
      FLOTILLA_ORDERS_STORE: `${url()}?schema=orders`,
    }),
    place: () => new PostgresPlace(`${url()}?schema=test_${++schemas}`),
    async sql(sql, values) {
      const client = new pg.Client({ connectionString: url() });
      await client.connect();
      try {
        // Of several statements in one text, what the last one said.
        return [await client.query(sql, values)].flat().at(-1)!.rows;
      } finally {
        await client.end();
      }
    },
    start,
    stop,
    kill: () => end(() => signalAll(process_!.pid!, "SIGKILL")),
    pause: () => signalAll(process_!.pid!, "SIGSTOP"),
    resume: () => signalAll(process_!.pid!, "SIGCONT"),
    async synchronousStandby() {
      const at = makeDirectory();
      const data = join(at, "data");
      const primary = `host=127.0.0.1 port=${port} user=postgres application_name=standby`;
      run("pg_basebackup", ["-D", data, "-d", primary, "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
      // By default a standby that has just lost its primary may sleep for 5 s before it heeds that it is promoted.
      const standby = makeServer(at, [...settings, "wal_retrieve_retry_interval=200ms"]);
      standbys.push(standby);
      await standby.start();
      await this.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
      await this.sql("SELECT pg_reload_conf()");
      const isSynchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
      const endMs = performance.now() + hangMs;
      while ((await this.sql(isSynchronous)).length === 0) {
        if (performance.now() > endMs) throw new Error("the standby did not become synchronous");
      }
      return standby;
    },
    async promote() {
      const args = ["promote", "-D", join(directory, "data"), "-w"];
      const promoting = spawn(join(binaries!, "pg_ctl"), args, { ...owner(), cwd: "/", stdio: "ignore" });
      await once(promoting, "exit", { signal: AbortSignal.timeout(hangMs) });
    },
    async [Symbol.asyncDispose]() {
      await stop();
      for (const standby of standbys) await standby[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** To all processes of a server, so that none of them finishes what it was at. */
function signalAll(pid: number, signal: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  for (const each of [String(pid), ...children]) {
    try {
      process.kill(Number(each), signal);
    } catch {
      // It ended by itself.
    }
  }
}
