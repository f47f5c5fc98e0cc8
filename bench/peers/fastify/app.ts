import Fastify from "fastify";
import { createPermission, idempotencyKeyPattern } from "../../work.ts";

/** Settings of production; and ajv refuses what is wrong instead of dropping or converting it, its default. */
export function makeApp() {
  return Fastify({ logger: false, ajv: { customOptions: { removeAdditional: false, coerceTypes: false } } });
}

const items = {
  type: "array",
  minItems: 1,
  maxItems: 100,
  items: {
    type: "object",
    additionalProperties: false,
    required: ["name", "quantity", "price"],
    properties: {
      name: { type: "string", minLength: 1, maxLength: 100 },
      quantity: { type: "integer", minimum: 1, maximum: 10_000 },
      price: { type: "number", minimum: 0, maximum: 1_000_000 },
    },
  },
} as const;

/** `POST /orders`, the same at the gateway and at the Order Service. */
export const orderSchema = {
  headers: {
    type: "object",
    required: ["idempotency-key"],
    properties: { "idempotency-key": { type: "string", pattern: idempotencyKeyPattern } },
  },
  body: { type: "object", additionalProperties: false, required: ["items"], properties: { items } },
  response: {
    201: {
      type: "object",
      properties: { orderId: { type: "string" }, total: { type: "number" }, status: { type: "string" }, items },
    },
  },
} as const;

export const loginSchema = {
  body: {
    type: "object",
    required: ["username", "password"],
    properties: { username: { type: "string" }, password: { type: "string" } },
  },
  response: { 200: { type: "object", properties: { token: { type: "string" } } } },
} as const;

export const permissionSchema = {
  response: { 200: { type: "object", properties: { allowed: { type: "boolean" } } } },
} as const;

export const permissionPath = (userId: string) => `/users/${userId}/permissions/${createPermission}`;
