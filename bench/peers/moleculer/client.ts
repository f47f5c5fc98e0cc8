import { openHttp } from "../http.ts";
import type { Client } from "../process.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  return openHttp(gatewayAddress, Number(process.env.X_CC ?? 256));
}
