import type { Connection } from "@flotilla/kit";
import type { Gateway } from "../../contracts/gateway.ts";
import type { Login } from "../../contracts/users.ts";
import type { Context } from "../command.ts";
import { askSecret, type Input } from "../prompt.ts";
import { say } from "../text.ts";
import { refusal } from "./refusal.ts";

/** Whose tokens a session has. */
export interface Logins {
  /** Of the newest login made here, else of the profile. Throws `unauthenticated`. */
  token(): string;
  /** Renews the profile's login when it is about to end. Never rejects: what needs the token will say so. */
  keepFresh(): Promise<void>;
  open(username: string, password?: string): Promise<object>;
  /** Ends those that were made here. */
  end(): Promise<void>;
}

interface LoginsOptions {
  readonly context: Context;
  readonly input: Input;
  readonly output: NodeJS.WritableStream;
}

export function makeLogins(connection: Connection<Gateway>, { context, input, output }: LoginsOptions): Logins {
  const { shop, signal } = context;
  const own: Login[] = [];
  return {
    token() {
      const login = own.at(-1) ?? shop.login();
      if (login) return login.token;
      throw refusal("unauthenticated", 'You are not logged in; try await login("alice")');
    },
    async keepFresh() {
      if (own.length === 0 && shop.login()) await shop.token().catch(() => undefined);
    },
    async open(username, password) {
      if (password === undefined && !input.isTTY)
        throw refusal("invalid_argument", "login takes a name and a password");
      const secret = password ?? (await unheard(input, () => askSecret(say`Password: `, { input, output, signal })));
      try {
        const login = await connection.main.login(username, secret);
        own.push(login);
        return { userId: login.userId, username: login.username, role: login.role };
      } catch (thrown) {
        throw refusal(thrown);
      }
    },
    async end() {
      await Promise.allSettled(own.map(({ token }) => connection.main.logout(token)));
    },
  };
}

/** While a password is typed, the line editor, which listens to the same keys, must not see them. */
async function unheard<T>(input: Input, work: () => Promise<T>): Promise<T> {
  const listeners = input.listeners("keypress") as ((...args: unknown[]) => void)[];
  for (const listener of listeners) input.off("keypress", listener);
  try {
    return await work();
  } finally {
    for (const listener of listeners) input.on("keypress", listener);
    // The editor had the keys one by one before the line that asks was run, and has them again behind it.
    input.setRawMode?.(true);
    input.resume();
  }
}
