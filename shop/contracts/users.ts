import { arg, contract, type Introducible, introducible } from "@flotilla/kit";
import type { RpcTarget } from "capnweb";
import { Type } from "typebox";

/** A person who is logged in, as others may ask about them. Only the User Service makes one. */
export interface User extends RpcTarget {
  getId(): string;
  getUsername(): string;
  getEmail(): string;
  getRole(): string;
  /** Decided at the moment of the call, by the User Service. A word that is no permission is granted to nobody. */
  hasPermission(permission: string): boolean;
}

export interface Login {
  readonly token: string;
  readonly userId: string;
  readonly username: string;
  readonly role: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface UserSummary {
  readonly id: string;
  readonly username: string;
  readonly role: string;
}

/** What the gateway is given. */
export interface UserService extends RpcTarget {
  /** Throws `unauthenticated` "Invalid username or password". */
  authenticate(username: string, password: string): Login;
  /** An id is no authority: what this returns cannot be introduced to anybody. Throws `not_found`. */
  getUser(id: string): User;
  /** Throws `unauthenticated` "Invalid or expired token". */
  getUserByToken(token: string): User & Introducible;
  listUsers(): UserSummary[];
}

/** What every other service is given: it can withdraw what it was introduced to, and nothing takes a token. */
export interface UserServiceForPeers extends RpcTarget {}

/** Usernames are short; the bound keeps a look-up cheap. Characters. */
const usernameCharsMax = 64;
/** Longer than any token of ours; what has another shape is refused by the User Service. Characters. */
const tokenCharsMax = 256;

export const Username = arg("username", Type.String({ minLength: 1, maxLength: usernameCharsMax }));
export const Password = arg("password", Type.String({ maxLength: 1_024 }));
export const Token = arg("token", Type.String({ maxLength: tokenCharsMax }));

export const UserContract = contract<User>("User", {
  getId: { params: [] },
  getUsername: { params: [] },
  getEmail: { params: [] },
  getRole: { params: [] },
  hasPermission: { params: [arg("permission", Type.String({ maxLength: 64 }))] },
});

export const UserServiceContract = contract<UserService>("UserService", {
  authenticate: { params: [Username, Password] },
  getUser: { params: [arg("id", Type.String({ maxLength: 32 }))], returns: UserContract },
  getUserByToken: { params: [Token], returns: introducible(UserContract) },
  listUsers: { params: [] },
});

export const UserServiceForPeersContract = contract<UserServiceForPeers>("UserService", {});
