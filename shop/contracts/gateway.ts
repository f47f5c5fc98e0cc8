import { contract, optional } from "@flotilla/kit";
import type { RpcTarget } from "capnweb";
import {
  type CancelledOrder,
  type CreatedOrder,
  IdempotencyKey,
  type Item,
  Items,
  type OrderEntry,
  OrderId,
} from "./orders.ts";
import { type Login, Password, type Profile, Token, Username, type UserSummary } from "./users.ts";

/** What any client may call, over HTTP batch or WebSocket. */
export interface Gateway extends RpcTarget {
  login(username: string, password: string): Login;
  getUserProfile(token: string): Profile;
  listUsers(token: string): UserSummary[];
  createOrder(token: string, items: Item[], idempotencyKey?: string): CreatedOrder;
  listOrders(token: string): OrderEntry[];
  cancelOrder(token: string, orderId: string): CancelledOrder;
}

export const GatewayContract = contract<Gateway>("ApiGateway", {
  login: { params: [Username, Password] },
  getUserProfile: { params: [Token] },
  listUsers: { params: [Token] },
  createOrder: { params: [Token, Items, optional(IdempotencyKey)] },
  listOrders: { params: [Token] },
  cancelOrder: { params: [Token, OrderId] },
});
