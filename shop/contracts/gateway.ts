import { arg, contract, optional, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";
import { type Administration, AdministrationContract, NewUser, type Role, type UserRecord } from "./administration.ts";
import { type AuditPage, AuditQuery } from "./audit.ts";
import {
  AllOrdersPage,
  type CancelledOrder,
  type CreatedOrder,
  IdempotencyKey,
  type Item,
  Items,
  type ListedOrder,
  type OrderEntry,
  OrderId,
  type OrderPage,
  Page,
  type ViewedOrder,
} from "./orders.ts";
import type { SystemStatus } from "./status.ts";
import {
  type Ended,
  type Login,
  type LoginSession,
  NewPassword,
  Password,
  type Profile,
  ProfileChanges,
  RefreshToken,
  SessionId,
  Token,
  Username,
  type UserSummary,
} from "./users.ts";

/** What any client may call, over HTTP batch or WebSocket. */
export interface Gateway extends RpcTarget {
  login(username: string, password: string): Login;
  /** A new token and a new refresh token, once for each refresh token. */
  refresh(refreshToken: string): Login;
  /** Ends the login, and everything that was obtained by it. */
  logout(token: string): Ended;
  /**
   * The account as a capability, whose methods take no token: for clients that keep a session open. It lives as long as
   * the login, and ends with this session.
   */
  account(token: string): MyAccount;
  getUserProfile(token: string): Profile;
  editProfile(token: string, changes: { email?: string }): Profile;
  listUsers(token: string): UserSummary[];
  /** The account of that name, however it is capitalised. Throws `not_found`. */
  findUser(token: string, username: string): UserSummary;
  createOrder(token: string, items: Item[], idempotencyKey?: string): CreatedOrder;
  /** One's own orders, oldest first: the newest 1,000, or the page asked for. */
  listOrders(token: string, page?: OrderPage): OrderEntry[];
  /** The same of all users, or of one, for callers with `order.cancel`. */
  listAllOrders(token: string, page?: AllOrdersPage): ListedOrder[];
  /** One's own order, or anybody's with `order.cancel`. */
  getOrder(token: string, orderId: string): ViewedOrder;
  cancelOrder(token: string, orderId: string): CancelledOrder;
  /** What follows asks for the permissions that `Administration` names; the rest of it is had by `account`. */
  createUser(token: string, user: NewUser): UserRecord;
  disableUser(token: string, userId: string): UserRecord;
  setRole(token: string, userId: string, role: string): UserRecord;
  listRoles(token: string): Role[];
  setRolePermissions(token: string, role: string, permissions: string[]): Role;
  /** The state of the gateway and of what it reaches. Asks for `system.admin`. */
  status(token: string): SystemStatus;
}

/** A person's own account, held by their client. Once the login has ended: `permission_denied`, reason `revoked`. */
export interface MyAccount extends RpcTarget {
  profile(): Profile;
  editProfile(changes: { email?: string }): Profile;
  orders(page?: OrderPage): OrderEntry[];
  /** Needs `order.view` and `order.cancel`: orders of all users, or of one. */
  allOrders(page?: AllOrdersPage): ListedOrder[];
  createOrder(items: Item[], idempotencyKey?: string): CreatedOrder;
  order(orderId: string): ViewedOrder;
  cancelOrder(orderId: string): CancelledOrder;
  sessions(): LoginSession[];
  endSession(sessionId: string): void;
  /** Ends every login, this one too, and answers a new one. */
  changePassword(current: string, next: string): Login;
  logout(): Ended;
  logoutEverywhere(): Ended;
  administration(): Administration;
  /** Needs `system.admin`. What was done to orders; what was done to accounts, `administration` has. */
  orderAudit(page?: AuditQuery): AuditPage;
}

const UserId = arg("userId", Type.String({ maxLength: 32 }));
const RoleName = arg("role", Type.String({ maxLength: 64 }));
const Permissions = arg("permissions", Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }));

export const MyAccountContract = contract<MyAccount>("Account", {
  profile: { params: [] },
  editProfile: { params: [ProfileChanges] },
  orders: { params: [optional(Page)] },
  allOrders: { params: [optional(AllOrdersPage)] },
  createOrder: { params: [Items, optional(IdempotencyKey)] },
  order: { params: [OrderId] },
  cancelOrder: { params: [OrderId] },
  sessions: { params: [] },
  endSession: { params: [SessionId] },
  changePassword: { params: [Password, NewPassword] },
  logout: { params: [] },
  logoutEverywhere: { params: [] },
  administration: { params: [], returns: AdministrationContract },
  orderAudit: { params: [optional(AuditQuery)] },
});

export const GatewayContract = contract<Gateway>("ApiGateway", {
  login: { params: [Username, Password] },
  refresh: { params: [RefreshToken] },
  logout: { params: [Token] },
  account: { params: [Token], returns: MyAccountContract },
  getUserProfile: { params: [Token] },
  editProfile: { params: [Token, ProfileChanges] },
  listUsers: { params: [Token] },
  findUser: { params: [Token, Username] },
  createOrder: { params: [Token, Items, optional(IdempotencyKey)] },
  listOrders: { params: [Token, optional(Page)] },
  listAllOrders: { params: [Token, optional(AllOrdersPage)] },
  getOrder: { params: [Token, OrderId] },
  cancelOrder: { params: [Token, OrderId] },
  createUser: { params: [Token, NewUser] },
  disableUser: { params: [Token, UserId] },
  setRole: { params: [Token, UserId, RoleName] },
  listRoles: { params: [Token] },
  setRolePermissions: { params: [Token, RoleName, Permissions] },
  status: { params: [Token] },
});
