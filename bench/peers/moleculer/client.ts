import type { OpenClient } from "../../client.ts";
import { openHttp } from "../http.ts";

/** As many connections as there are calls under way. HTTP/1.1 carries one at a time, and nobody pipelines orders. */
export const open: OpenClient = async (gatewayAddress, clients) => openHttp(gatewayAddress, clients);
