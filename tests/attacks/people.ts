import type { Login } from "../../shop/contracts/users.ts";
import { callOf, type HostilePeer, type Message } from "./hostile-peer.ts";
import type { Target } from "./target.ts";
import { expectRefused, refusalOf, resultOf } from "./verdict.ts";

/** Of everybody that `newUser` makes. */
export const password = "correct horse battery";
export const invalidToken = { codes: ["unauthenticated"] } as const;
export const revoked = { code: "permission_denied", fields: { reason: "revoked" } } as const;

type Asked = readonly [method: string, ...args: unknown[]];

/** What people do at the gateway, and what they are told. */
export function peopleAt(target: () => Target) {
  let turn = 0;
  const result = async <T>(method: string, ...args: readonly unknown[]) => resultOf(await call(method, ...args)) as T;
  const refusal = async (method: string, ...args: readonly unknown[]) => refusalOf(await call(method, ...args));
  /** One that nobody has had. */
  const newName = (word: string) => `${word}${++turn}`;
  return { call, result, refusal, newName, newUser, logIn, expectNoToken };

  /** One call of the gateway, by each door in turn. */
  async function call(method: string, ...args: readonly unknown[]) {
    turn += 1;
    const { doors } = target();
    return await doors[turn % doors.length]!.exchange(callOf(method, args));
  }

  /** Somebody new, with `password`. */
  async function newUser(role?: string): Promise<{ id: string; username: string }> {
    const username = newName("victim");
    const user = { username, password, email: `${username}@example.com`, ...(role !== undefined && { role }) };
    return { id: (await result<{ id: string }>("createUser", target().tokens.alice, user)).id, username };
  }

  function logIn(username: string, word = password): Promise<Login> {
    return result<Login>("login", username, word);
  }

  /** What is refused with what a stranger's text is refused with, at every door, as is the text itself. */
  async function expectNoToken(token: string, name: string): Promise<void> {
    const { doors, innerDoors } = target();
    for (const method of ["getUserProfile", "account", "logout"]) {
      await expectRefused(doors, callOf(method, [token]), invalidToken).catch((error: unknown) => {
        throw new Error(`${name}: ${String(error)}`);
      });
    }
    await expectRefused(innerDoors.users, callOf("getUserByToken", [token]), invalidToken);
  }
}

/** Calls a method of what call `of` answers, which may not have been answered yet. */
export function callOn(peer: HostilePeer, of: number, [method, ...args]: Asked): number {
  const id = peer.takeId();
  peer.send(["push", ["pipeline", of, [method], args]], ["pull", id]);
  return id;
}

export function askOn(peer: HostilePeer, of: number, asked: Asked): Promise<Message> {
  return peer.answer(callOn(peer, of, asked));
}
