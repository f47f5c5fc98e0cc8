import {
  arg,
  type Contract,
  callback,
  contract,
  expose,
  type Implementation,
  type RpcStub,
  type RpcTarget,
  type Server,
  serve,
  withContext,
} from "@flotilla/kit";
import { Type } from "typebox";

/** Somebody's own object, which the board calls. */
export interface Listener extends RpcTarget {
  hear(text: string): string;
}

export interface Board extends RpcTarget {
  /** Asks the listener, and answers what it said. */
  ask(text: string, listener: RpcStub<Listener>): string;
  /** Tells the listener `times` things, for each of which it has `timeoutMs`. */
  tell(times: number, timeoutMs: number, listener: RpcStub<Listener>): string;
  /** How many are asked or told something now. */
  busy(): number;
  /** Goes wrong inside, in one of several ways. */
  fail(how: string): string;
}

/** What must never be told: it is in every fault of the board's. */
export const secret = "canary-7f3a-driver-secret";

const text = arg("text", Type.String({ maxLength: 100 }));
const count = (name: string) => arg(name, Type.Integer({ minimum: 1, maximum: 10_000 }));

const BoardContract: Contract<Board> = contract<Board>("Board", {
  ask: { params: [text, callback<Listener>("listener")] },
  tell: { params: [count("times"), count("timeoutMs"), callback<Listener>("listener")] },
  busy: { params: [] },
  fail: { params: [text] },
});

class BoardService implements Implementation<Board> {
  #busy = 0;

  async ask(said: string, listener: RpcStub<Listener>): Promise<string> {
    return await this.#counted(async () => String(await listener.hear(said)));
  }

  async tell(times: number, timeoutMs: number, listener: RpcStub<Listener>): Promise<string> {
    const heard = await this.#counted(() =>
      Promise.allSettled(
        Array.from({ length: times }, async (_, i) => await withContext({ timeoutMs }, () => listener.hear(`${i}`))),
      ),
    );
    return heard.map(({ status }) => status[0]).join("");
  }

  busy(): number {
    return this.#busy;
  }

  async fail(how: string): Promise<string> {
    const driver = Object.assign(new Error(`connect ECONNREFUSED 10.1.2.3:5432 ${secret}`), {
      address: "10.1.2.3",
      query: `INSERT ${secret}`,
      cause: new Error(secret),
    });
    await Promise.resolve();
    if (how === "driver") throw driver;
    if (how === "text") throw secret;
    if (how === "object") throw { secret, code: "internal", message: secret, retryable: false };
    if (how === "bug") return (undefined as unknown as { readonly length: string }).length;
    if (how === "nested") throw new AggregateError([driver], secret, { cause: driver });
    if (how === "coded") throw Object.assign(new Error(secret), { code: "ECONNREFUSED", retryable: true });
    if (how === "returned") return driver as unknown as string;
    if (how === "stub") return (() => secret) as unknown as string;
    if (how === "slow") await new Promise(() => {});
    return "well";
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
    }
  }
}

/** A service whose contract takes callbacks, as the shop's do not; in this process. */
export async function serveBoard(): Promise<Server & { readonly hidden: readonly unknown[] }> {
  const board = new BoardService();
  const hidden: unknown[] = [];
  const server = await serve({
    name: "board",
    port: 0,
    main: (peer) => expose(BoardContract, board, { peer }),
    onHiddenError: (error) => hidden.push(error),
  });
  return { ...server, hidden };
}
