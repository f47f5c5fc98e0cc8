import { writeSync } from "node:fs";
import { openSqliteOrderStore } from "./store-sql.ts";

// Run by store-kill.slow.test.ts: places orders until it is killed, and says of each that it was acknowledged.
const [, , file, first] = process.argv;
const store = openSqliteOrderStore(file!);
for (let n = Number(first); ; n++) {
  const { order } = await store.place({
    userId: "user2",
    lines: [
      { name: `first of ${n}`, quantity: 1, priceMinor: n },
      { name: `second of ${n}`, quantity: 2, priceMinor: n },
    ],
    totalMinor: 3 * n,
    createdAtMs: n,
    idempotency: { key: `${n}`, scope: "user2", requestHash: `${n}` },
  });
  writeSync(1, `${n} ${order.id}\n`);
}
