// The shop's own process, as it is shipped.
import { setShopEnvironment } from "./environment.ts";

setShopEnvironment();
await import("../../shop/users/main.ts");
