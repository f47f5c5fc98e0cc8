// The shop's own process, as it is shipped.
import { prepareShop } from "./environment.ts";

prepareShop();
await import("../../shop/gateway/main.ts");
