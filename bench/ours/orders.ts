// The shop's own process, as it is shipped. No setting of it gives a store in memory, so with `memory` its main.ts is
// given another module for the one it imports its store from; all else is the same.
import { registerHooks } from "node:module";
import { prepareShop } from "./environment.ts";

prepareShop();
if (process.env.BENCH_STORE === "memory") {
  registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier === "./store-sql.ts" ? new URL("store.ts", import.meta.url).href : specifier, context),
  });
}
await import("../../shop/orders/main.ts");
