import { type Connection, connect } from "@flotilla/kit";
import { type Gateway, GatewayContract } from "../../contracts/gateway.ts";
import { advised, CliError, toCliError } from "../cli-error.ts";
import type { Context } from "../command.ts";
import { startHint } from "../post.ts";
import type { Input } from "../prompt.ts";
import { converse } from "./converse.ts";
import { makeHoldings } from "./holdings.ts";
import { makeLogins } from "./logins.ts";

export interface SessionOptions {
  readonly context: Context;
  readonly input: Input;
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Until the other side has heard what was let go. Milliseconds. */
const restMsMax = 2_000;

/**
 * An interactive session that holds capabilities, over one connection to the gateway. Resolves with the exit code when it
 * has ended and holds nothing any more: 1 when a line of a program failed.
 */
export async function runSession({ context, input, output }: SessionOptions): Promise<number> {
  const { shop } = context;
  const connection = connect<Gateway>({ name: "gateway", url: shop.url });
  try {
    await connection.opened().catch((thrown: unknown) => {
      throw advised(toCliError(thrown), startHint(new URL(shop.url)));
    });
    const holdings = makeHoldings({
      name: "gateway",
      contract: GatewayContract,
      main: () => connection.main,
      sessionNumber: () => connection.sessionNumber,
    });
    const logins = makeLogins(connection, { context, input, output });
    const failures = await converse({ context, input, output, holdings, logins });
    holdings.releaseAll();
    await logins.end();
    await expectRest(connection);
    return failures > 0 ? 1 : 0;
  } finally {
    connection.close();
  }
}

/** The gateway's main is all that is left; anything else would be a leak of ours. */
async function expectRest(connection: Connection<Gateway>): Promise<void> {
  const endMs = performance.now() + restMsMax;
  while (connection.isOpen) {
    const { imports, exports } = connection.stats();
    if (imports <= 1 && exports <= 1) return;
    if (performance.now() > endMs) {
      throw new CliError("internal", `${imports - 1} capabilities are still held at the end of the session`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
