import type { RpcTarget } from "capnweb";
import type { CreatedOrder } from "../../work.ts";

/** Who was logged in; lives in the User Service, everybody else holds a stub. */
export interface User extends RpcTarget {
  getId(): string;
  hasPermission(permission: string): boolean;
}

export interface Users extends RpcTarget {
  authenticate(username: string, password: string): string;
  getUserByToken(token: string): User;
}

export interface Gateway extends RpcTarget {
  login(username: string, password: string): Promise<string>;
  createOrder(token: string, items: unknown, idempotencyKey: string): Promise<CreatedOrder>;
}
