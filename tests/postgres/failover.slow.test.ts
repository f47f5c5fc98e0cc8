import { expect, test } from "vitest";
import type { NewOrder, OrderStore } from "../../shop/orders/store.ts";
import { migrations, orderStore } from "../../shop/orders/store-sql.ts";
import type { Tables } from "../../shop/orders/tables.ts";
import { openPostgres } from "../../shop/service/postgres.ts";
import { PostgresPlace } from "../../shop/service/postgres-place.ts";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../postgres.ts";

const callers = 16;

function orderOf(key: string): NewOrder {
  return {
    userId: "user2",
    lines: [{ name: key, quantity: 1, priceMinor: 100 }],
    totalMinor: 100,
    createdAtMs: 1_000,
    idempotency: { key, scope: "user2", requestHash: key },
  };
}

/** Callers that place one order after the other, each again by its key until it is acknowledged. */
function startLoad(store: OrderStore) {
  const acknowledged = new Map<string, string>();
  const load = { acknowledged, refused: 0, gapMsMax: 0, isOver: false, done: Promise.resolve() };
  const onPlaced = new Set<() => void>();
  let lastMs = performance.now();
  const caller = async (name: number) => {
    for (let n = 0; !load.isOver; n++) {
      const key = `${name} ${n}`;
      const id = await placeUntilAcknowledged(key);
      acknowledged.set(key, id);
      load.gapMsMax = Math.max(load.gapMsMax, performance.now() - lastMs);
      lastMs = performance.now();
      for (const noted of onPlaced) noted();
    }
  };
  const placeUntilAcknowledged = async (key: string): Promise<string> => {
    for (;;) {
      try {
        return (await store.place(orderOf(key))).order.id;
      } catch (error) {
        expect(error).toMatchObject({ retryable: true });
        load.refused += 1;
      }
    }
  };
  load.done = Promise.all(Array.from({ length: callers }, (_, n) => caller(n))).then(() => undefined);
  const further = (count: number) =>
    new Promise<void>((resolve) => {
      const until = acknowledged.size + count;
      const noted = () => {
        if (acknowledged.size < until) return;
        onPlaced.delete(noted);
        resolve();
      };
      onPlaced.add(noted);
    });
  return { load, further };
}

/** Ends the waiting of what waits for the standby: it is committed then, on the primary alone. @returns of how many. */
async function endWaiting(primary: PostgresServer, how: string): Promise<number> {
  const waiting = await primary.sql(
    `SET synchronous_commit = local; SELECT ${how}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`,
  );
  return waiting.length;
}

async function openStore(place: PostgresPlace, limits = {}): Promise<OrderStore & AsyncDisposable> {
  const store = orderStore(await openPostgres<Tables>(place, migrations, limits));
  return { ...store, [Symbol.asyncDispose]: async () => store.close() };
}

test.skipIf(whyNoPostgres)(
  "no acknowledged order is lost when the primary is killed and its standby promoted",
  async ({ annotate }) => {
    await using primary = await startPostgres({ isDurable: true });
    const standby = await primary.synchronousStandby();
    const both = `127.0.0.1:${primary.port},127.0.0.1:${standby.port}`;
    await using store = await openStore(new PostgresPlace(`postgres://postgres@${both}/postgres`));
    const { load, further } = startLoad(store);
    await further(500);
    await primary.kill();
    await standby.promote();
    await further(500);
    load.isOver = true;
    await load.done;

    expect(await store.count()).toBe(load.acknowledged.size);
    for (const [key, id] of load.acknowledged) {
      expect(await store.byId(id)).toMatchObject({ id, lines: [{ name: key }] });
    }
    await annotate(
      `${load.acknowledged.size} orders acknowledged, longest gap ${Math.round(load.gapMsMax)} ms, ${load.refused} refused`,
    );
    // Measured is less than one second; what is asserted is that somebody noticed at all.
    expect(load.gapMsMax).toBeLessThan(20_000);
  },
);

test.skipIf(whyNoPostgres)(
  "what its synchronous standby does not have is not acknowledged, however long that takes",
  async () => {
    await using primary = await startPostgres();
    const standby = await primary.synchronousStandby();
    const place = primary.place();
    await using store = await openStore(place, { statementMsMax: 300, patienceMs: 1_500 });
    await store.place(orderOf("before"));
    standby.pause();
    try {
      // The server is on for longer than a statement may take, and waits all the same: its answer is missing, not false.
      await expect(store.place(orderOf("waiting"))).rejects.toMatchObject({ code: "unavailable" });
      await expect(store.place(orderOf("waiting"))).rejects.toMatchObject({ code: "unavailable" });
    } finally {
      standby.resume();
    }
    const placed = await store.place(orderOf("waiting"));
    expect(placed.replayed).toBe(true);
    expect(await store.count()).toBe(2);
  },
);

test.skipIf(whyNoPostgres)("what only the primary has is no answer to who asks again", async () => {
  await using primary = await startPostgres();
  const standby = await primary.synchronousStandby();
  await using store = await openStore(primary.place(), { statementMsMax: 300, patienceMs: 500 });
  const { id } = (await store.place(orderOf("before"))).order;
  const cancel = () => store.cancel(id, { nowMs: 1_000 });
  const place = (key: string) => () => store.place(orderOf(key));
  standby.pause();
  try {
    for (const [how, act] of [
      ["pg_cancel_backend", place("cancelled")],
      ["pg_terminate_backend", place("terminated")],
      ["pg_terminate_backend", cancel],
    ] as const) {
      const noneWaits = () => expect.poll(() => endWaiting(primary, "pg_terminate_backend")).toBe(0);
      await noneWaits();
      // What a second attempt of its own finds done it does not answer either.
      const first = expect(act()).rejects.toMatchObject({ code: "unavailable" });
      await expect.poll(() => endWaiting(primary, how)).toBe(1);
      await first;
      await noneWaits();
      await expect(act()).rejects.toMatchObject({ code: "unavailable" });
    }
  } finally {
    standby.resume();
  }
  expect(await store.place(orderOf("terminated"))).toMatchObject({ replayed: true });
  expect(await cancel()).toMatchObject({ status: "cancelled" });
});
