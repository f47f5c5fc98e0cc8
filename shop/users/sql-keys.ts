import { run } from "../service/database.ts";
import type { KeyStore } from "./store.ts";
import type { Db } from "./tables.ts";

export function keyStore(db: Db): KeyStore {
  const { build } = db;
  return {
    publishKey: ({ kid, publicKey }, { nowMs, forgetBeforeMs }) =>
      db.unit(
        function* () {
          yield* run(build.deleteFrom("token_keys").where("seen_at_ms", "<", forgetBeforeMs));
          // SECURITY: what a kid stands for is never changed.
          const row = { kid, public_key: publicKey, seen_at_ms: nowMs };
          const insert = build.insertInto("token_keys").values(row);
          yield* run(insert.onConflict((conflict) => conflict.column("kid").doUpdateSet({ seen_at_ms: nowMs })));
        },
        { isRepeatable: true },
      ),
    withdrawKey: (kid) =>
      db.unit(
        function* () {
          yield* run(build.deleteFrom("token_keys").where("kid", "=", kid));
        },
        { isRepeatable: true, writesOnce: true },
      ),
    async publishedKeys(sinceMs) {
      const known = build.selectFrom("token_keys").select(["kid", "public_key"]).where("seen_at_ms", ">=", sinceMs);
      return (await db.read(known)).map((row) => ({ kid: row.kid, publicKey: row.public_key }));
    },
  };
}
