import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "@flotilla/kit/testing";
import { freePort } from "./free-port.ts";

/** Starting one, or waiting for it to end, hangs if it takes so long. Milliseconds. */
const hangMs = 30_000;
const pollMs = 20;

/** Why there is no etcd to test with; undefined if there is. */
export const whyNoEtcd =
  spawnSync("etcd", ["--version"]).status === 0
    ? undefined
    : "etcd is not on the PATH; Debian's package is etcd-server";

/** An etcd of a test's own, real or not. Disposing it asserts that nobody watches any more. */
export interface Etcd extends AsyncDisposable {
  readonly url: string;
  /** From one moment to the next. */
  stop(): Promise<void>;
  /** At the same address; without what it knew before if `isEmpty`. */
  start(options?: { readonly isEmpty?: boolean }): Promise<void>;
  /** Watches that are open. */
  watches(): Promise<number>;
}

/** A private server of etcd; disposing it ends its process and removes its files. */
export async function startEtcd(): Promise<Etcd> {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-etcd-"));
  const url = `http://127.0.0.1:${await freePort()}`;
  let server: ChildProcess | undefined;
  let closed: Promise<unknown> = Promise.resolve();
  const etcd: Etcd = {
    url,
    start,
    stop,
    watches: async () => {
      const { text } = await ask(`${url}/metrics`, { method: "GET" });
      return Number(/^etcd_debugging_mvcc_watcher_total (\d+)$/m.exec(text)![1]);
    },
    async [Symbol.asyncDispose]() {
      try {
        if (server) await until(async () => (await etcd.watches()) === 0, "nobody watches");
      } finally {
        await stop();
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
  try {
    await start();
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return etcd;

  async function start({ isEmpty = false } = {}): Promise<void> {
    const data = join(directory, "data");
    if (isEmpty) rmSync(data, { recursive: true, force: true });
    // Nobody else is in its cluster, so it need not be reached by others.
    const peers = "http://127.0.0.1:0";
    const at = ["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peers];
    const cluster = ["--initial-advertise-peer-urls", peers, "--initial-cluster", `default=${peers}`];
    const child = spawn("etcd", ["--data-dir", data, ...at, ...cluster], { stdio: ["ignore", "pipe", "pipe"] });
    server = child;
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-10_000);
      });
    }
    closed = new Promise((resolve) => child.once("close", resolve));
    try {
      await until(async () => {
        if (child.exitCode !== null) throw new Error("it ended");
        return (await ask(`${url}/v3/kv/range`, { body: '{"key":"YQ=="}' }).catch(() => undefined))?.status === 200;
      }, "etcd answers");
    } catch (cause) {
      await stop();
      throw new Error(`etcd did not start:\n${said}`, { cause });
    }
  }

  async function stop(): Promise<void> {
    server?.kill("SIGKILL");
    await closed;
    server = undefined;
  }
}

/** What is written in an etcd, in clear. */
export function keysIn({ url }: Etcd) {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  async function say(path: string, question: object): Promise<Record<string, unknown>> {
    const { status, text } = await ask(`${url}${path}`, { body: JSON.stringify(question) });
    if (status !== 200) throw new Error(`etcd answered ${status}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }
  return {
    async put(key: string, value: string): Promise<void> {
      await say("/v3/kv/put", { key: base64(key), value: base64(value) });
    },
    async remove(key: string): Promise<void> {
      await say("/v3/kv/deleterange", { key: base64(key) });
    },
    /** Of all that there are, in order. */
    async list(): Promise<string[]> {
      const { kvs = [] } = await say("/v3/kv/range", { key: "AA==", range_end: "AA==" });
      return (kvs as { key: string }[]).map(({ key }) => Buffer.from(key, "base64").toString());
    },
    /** Has etcd forget what was before now. */
    async compact(): Promise<void> {
      const { header } = await say("/v3/kv/range", { key: "AA==" });
      await say("/v3/kv/compaction", { revision: (header as { revision: string }).revision });
    },
  };
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + hangMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`Not within ${hangMs} ms: ${what}`);
    await sleep(pollMs);
  }
}
