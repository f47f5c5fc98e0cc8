import { edgeLimits } from "@flotilla/kit";
import { type Child, type Desk, makeRig, spawnChild } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { until } from "../process-harness.ts";

const clientCount = 1_000;
const { sessionsPerSecondMax, sessionsBurstMax } = edgeLimits;
/** Of the server's own counts. Milliseconds. */
const everyMs = 50;

interface Count {
  /** Since it listened. Milliseconds. */
  readonly ms: number;
  readonly sessions: number;
  readonly begun: number;
  readonly refused: Readonly<Record<string, number>>;
}

interface Herded {
  readonly child: Child;
  readonly port: number;
  counts(): Count[];
}

/** A server that has room for all of them. @param burst how many may begin at once; the rate is that by default. */
async function startServer(port: number, burst: number): Promise<Herded> {
  const source = (path: string) => JSON.stringify(new URL(`../../kit/src/${path}`, import.meta.url).href);
  const child = spawnChild(`
    import { edgeLimits, serve } from ${source("index.ts")};
    import { makeDesk } from ${source("testing/desk.ts")};
    const desk = makeDesk();
    const refused = {};
    let begun = 0;
    const server = await serve({
      name: "home",
      port: ${port},
      edge: {
        ...edgeLimits,
        sessionsPerAddressMax: ${clientCount},
        // Those that are refused close a moment after the next ones open.
        connectionsPerAddressMax: ${2 * clientCount},
        sessionsBurstMax: ${burst},
      },
      main(peer) {
        begun += 1;
        return desk.mainFor(peer);
      },
      onRefused({ code, reason = code }) {
        refused[reason] = (refused[reason] ?? 0) + 1;
      },
    });
    console.log("port " + new URL(server.url).port);
    const startedAtMs = performance.now();
    setInterval(() => {
      const { sessions } = server.stats();
      console.log(JSON.stringify({ ms: performance.now() - startedAtMs, sessions, begun, refused }));
    }, ${everyMs});`);
  await child.says("port ");
  return {
    child,
    port: Number(/port (\d+)/.exec(child.output())?.[1]),
    counts: () => [...child.output().matchAll(/^\{.*\}$/gm)].map(([line]) => JSON.parse(line) as Count),
  };
}

test("a thousand clients whose server is killed all come back to the next one, no faster than it lets them", async () => {
  await using rig = makeRig();
  const first = await startServer(0, clientCount);
  rig.onEnd(() => first.child[Symbol.asyncDispose]());
  const clients = Array.from({ length: clientCount }, () =>
    rig.connect<Desk>({ url: `http://127.0.0.1:${first.port}` }),
  );
  for (const client of clients) client.opened().catch(() => {});
  await until(() => clients.every(({ isOpen }) => isOpen), "all are connected");
  first.child.process.kill("SIGKILL");
  await until(() => clients.every(({ isOpen }) => !isOpen), "all have lost it");

  const second = await startServer(first.port, sessionsBurstMax);
  rig.onEnd(() => second.child[Symbol.asyncDispose]());
  await until(() => clients.every(({ isOpen }) => isOpen), "all are connected again");
  const answers = await Promise.all(clients.map(({ main }) => main.add(1, 2)));
  expect(new Set(answers)).toEqual(new Set([3]));
  const known = second.counts().length;
  await until(() => second.counts().length > known, "it has counted");
  const counts = second.counts();
  const last = counts.at(-1)!;
  expect(last).toMatchObject({ sessions: clientCount, begun: clientCount });
  for (const { ms, begun } of counts) {
    expect(begun).toBeLessThanOrEqual(sessionsBurstMax + (sessionsPerSecondMax * (ms + everyMs)) / 1_000);
  }
  // On a slow machine they come slowly enough. Who is refused waits longer each time: a few attempts for each of them.
  const { session_rate: refused = 0, ...others } = last.refused;
  expect(others).toEqual({});
  expect(refused).toBeLessThan(20 * clientCount);
  expect(second.child.process.exitCode).toBeNull();
});
