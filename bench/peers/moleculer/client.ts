import type { Client } from "../../client.ts";
import { openHttp } from "../http.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  return openHttp(gatewayAddress, Number(process.env.X_CC ?? 256));
}
