import type { OpenClient } from "../../client.ts";
import { openHttp } from "../http.ts";

/** HTTP/1.1 has one call at a time on a connection, so there are as many of them as calls under way. */
export const open: OpenClient = async (gatewayAddress, clients) => openHttp(gatewayAddress, clients);
