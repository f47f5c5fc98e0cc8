import { topology } from "../topology.ts";
import type { AccountMethod, GatewayMethod } from "./rate-limits.ts";

/** The services that the gateway reaches. */
export const destinationNames = topology.gateway.reaches;

/** Where a call goes: what hangs there must not take the places of calls that go elsewhere. */
export type Destination = (typeof destinationNames)[number];

/** Whom each method of the gateway's and of an account's asks. A method that is not here does not compile. */
export const destinations: Readonly<Record<GatewayMethod | AccountMethod, Destination>> = {
  login: "users",
  refresh: "users",
  logout: "users",
  account: "users",
  getUserProfile: "users",
  editProfile: "users",
  listUsers: "users",
  findUser: "users",
  createOrder: "orders",
  listOrders: "orders",
  listAllOrders: "orders",
  getOrder: "orders",
  cancelOrder: "orders",
  createUser: "users",
  disableUser: "users",
  setRole: "users",
  listRoles: "users",
  setRolePermissions: "users",
  status: "users",
  profile: "users",
  orders: "orders",
  allOrders: "orders",
  order: "orders",
  sessions: "users",
  endSession: "users",
  changePassword: "users",
  logoutEverywhere: "users",
  administration: "users",
  orderAudit: "orders",
};

/** Of a method that has a cost; those of an administration are the User Service's. */
export function destinationOf(method: string): Destination {
  return Object.hasOwn(destinations, method) ? destinations[method as keyof typeof destinations] : "users";
}
