// The shop's own process, as it is shipped. With BENCH_LEASES=off it vouches for nothing, as on a store that several share.
import { registerHooks } from "node:module";
import { prepareShop } from "./environment.ts";

prepareShop();
if (process.env.BENCH_LEASES === "off") {
  registerHooks({
    resolve: (specifier, context, next) => {
      const isShops = specifier === "./leases.ts" && context.parentURL?.endsWith("/shop/service/run-service.ts");
      return next(isShops ? new URL("no-leases.ts", import.meta.url).href : specifier, context);
    },
  });
}
await import("../../shop/users/main.ts");
