import { arg, contract, type Introducible, introducible, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";
import { type Administration, AdministrationContract } from "./administration.ts";

/** A person who is logged in, as others may ask about them. Only the User Service makes one. */
export interface User extends RpcTarget {
  getId(): string;
  getUsername(): string;
  getEmail(): string;
  getRole(): string;
  /** Decided at the moment of the call, by the User Service. A word that is no permission is granted to nobody. */
  hasPermission(permission: string): boolean;
}

/** Times are milliseconds since the epoch. */
export interface Login {
  readonly token: string;
  readonly userId: string;
  readonly username: string;
  readonly role: string;
  /** When `token` ends; a new one is had for the refresh token. */
  readonly expiresAt: number;
  /** Good for one use, after which its successor is. */
  readonly refreshToken: string;
  readonly refreshExpiresAt: number;
}

export interface UserSummary {
  readonly id: string;
  readonly username: string;
  readonly role: string;
}

export interface Profile {
  readonly userId: string;
  readonly username: string;
  readonly email: string;
  readonly role: string;
}

/** One login of an account: a device, say. Times are milliseconds since the epoch. */
export interface LoginSession {
  readonly sessionId: string;
  readonly createdAt: number;
  /** Exact to a minute. */
  readonly lastUsedAt: number;
  readonly expiresAt: number;
  /** Whether it is the one that asks. */
  readonly isThisOne: boolean;
}

/** How many logins were ended. */
export interface Ended {
  readonly ended: number;
}

/**
 * Somebody who is logged in, acting for themselves. Lives as long as the login, not as long as one token. Only the gateway
 * gets one; it is never introduced.
 */
export interface Account extends RpcTarget {
  /** Lives as long as the login, and can be introduced. */
  user(): User & Introducible;
  getProfile(): Profile;
  /** Needs `profile.edit`. */
  editProfile(changes: { email?: string }): Profile;
  /**
   * Ends every login of the account, and with it this capability; answers a new login. Throws `unauthenticated` for a
   * wrong `current`, and `invalid_argument` with a reason for a `next` that will not do.
   */
  changePassword(current: string, next: string): Login;
  /** Newest first. */
  listSessions(): LoginSession[];
  /** Throws `not_found`. */
  endSession(sessionId: string): void;
  /** Ends the login by which this was obtained, and with it this capability. */
  logout(): Ended;
  logoutEverywhere(): Ended;
  /** For everybody: each of its methods asks for its own permission, at the moment of the call. */
  administration(): Administration;
}

/** What the gateway is given. */
export interface UserService extends RpcTarget {
  /** Throws `unauthenticated` "Invalid username or password". */
  authenticate(username: string, password: string): Login;
  /** Throws `unauthenticated` "Invalid or expired token". A token that was used before ends its login. */
  refresh(refreshToken: string): Login;
  /** An id is no authority: what this returns cannot be introduced to anybody. Throws `not_found`. */
  getUser(id: string): User;
  /** Throws `unauthenticated` "Invalid or expired token". The user ends with the token, or with the login. */
  getUserByToken(token: string): User & Introducible;
  /** Throws `unauthenticated` "Invalid or expired token". */
  account(token: string): Account;
  /** The first 1,000. */
  listUsers(): UserSummary[];
  /** The account of that name, however it is capitalised. Throws `not_found`. */
  findUser(username: string): UserSummary;
}

/** What every other service is given: it can withdraw what it was introduced to, and nothing takes a token. */
export interface UserServiceForPeers extends RpcTarget {}

/** Usernames are short; the bound keeps a look-up cheap. Characters. */
const usernameCharsMax = 64;
/** Longer than any token of ours; what has another shape is refused by the User Service. Characters. */
const tokenCharsMax = 1_024;

/** The one spelling under which a username is kept, looked up and counted: lower-case, NFC. */
export function canonicalUsername(username: string): string {
  return username.normalize("NFC").toLowerCase().normalize("NFC");
}

export const Username = arg("username", Type.String({ minLength: 1, maxLength: usernameCharsMax }));
export const Password = arg("password", Type.String({ maxLength: 1_024 }));
export const NewPassword = arg("next", Type.String({ maxLength: 1_024 }));
export const Token = arg("token", Type.String({ maxLength: tokenCharsMax }));
export const RefreshToken = arg("refreshToken", Type.String({ maxLength: tokenCharsMax }));
export const ProfileChanges = arg(
  "changes",
  Type.Object({ email: Type.Optional(Type.String({ maxLength: 254 })) }, { additionalProperties: false }),
);
export const SessionId = arg("sessionId", Type.String({ maxLength: 64 }));

export const UserContract = contract<User>("User", {
  getId: { params: [] },
  getUsername: { params: [] },
  getEmail: { params: [] },
  getRole: { params: [] },
  hasPermission: { params: [arg("permission", Type.String({ maxLength: 64 }))], standing: true },
});

export const AccountContract = contract<Account>("Account", {
  user: { params: [], returns: introducible(UserContract) },
  getProfile: { params: [] },
  editProfile: { params: [ProfileChanges] },
  changePassword: { params: [Password, NewPassword] },
  listSessions: { params: [] },
  endSession: { params: [SessionId] },
  logout: { params: [] },
  logoutEverywhere: { params: [] },
  administration: { params: [], returns: AdministrationContract },
});

export const UserServiceContract = contract<UserService>("UserService", {
  authenticate: { params: [Username, Password] },
  refresh: { params: [RefreshToken] },
  getUser: { params: [arg("id", Type.String({ maxLength: 32 }))], returns: UserContract },
  getUserByToken: { params: [Token], returns: introducible(UserContract) },
  account: { params: [Token], returns: AccountContract },
  listUsers: { params: [] },
  findUser: { params: [Username] },
});

export const UserServiceForPeersContract = contract<UserServiceForPeers>("UserService", {});
