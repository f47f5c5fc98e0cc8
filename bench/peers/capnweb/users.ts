import { randomUUID } from "node:crypto";
import { RpcTarget } from "capnweb";
import { users, type WorkUser } from "../../work.ts";
import { announce, socketPath } from "../process.ts";
import type * as api from "./api.ts";
import { serve } from "./serve.ts";

const sessions = new Map<string, WorkUser>();

class User extends RpcTarget implements api.User {
  readonly #user: WorkUser;
  constructor(user: WorkUser) {
    super();
    this.#user = user;
  }
  getId(): string {
    return this.#user.id;
  }
  hasPermission(permission: string): boolean {
    return this.#user.permissions.includes(permission);
  }
}

class Users extends RpcTarget implements api.Users {
  authenticate(username: string, password: string): string {
    const user = users.find((one) => one.username === username && one.password === password);
    if (!user) throw new Error("Invalid credentials");
    const token = randomUUID();
    sessions.set(token, user);
    return token;
  }
  getUserByToken(token: string): User {
    const user = sessions.get(token);
    if (!user) throw new Error("Invalid or expired token");
    return new User(user);
  }
}

announce(await serve(() => new Users(), socketPath("users")));
