import { FlotillaError } from "@flotilla/kit";
import { toMinor } from "./money.ts";

export type OrderStatus = "pending" | "cancelled";

/** What a list shows of an order. */
export interface OrderSummary {
  /** `order1`, `order2`, ... in the order of their placing; never given twice. */
  readonly id: string;
  /** Whose it is, in the User Service's words. */
  readonly userId: string;
  readonly totalMinor: number;
  readonly status: OrderStatus;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

export interface Order extends OrderSummary {
  readonly lines: readonly OrderLine[];
}

export interface OrderLine {
  readonly name: string;
  readonly quantity: number;
  /** Of one piece. */
  readonly priceMinor: number;
}

/** One wish, as a buyer sends it. */
export interface NewItem {
  readonly name: string;
  readonly quantity: number;
  /** Of one piece, in major units, with at most two decimals. */
  readonly price: number;
}

/** More than any basket; with the two below the largest total is 1e14 minor units, far within `minorMax`. */
export const linesMax = 100;
export const quantityMax = 10_000;
/** 1,000,000.00 for one piece. */
export const priceMinorMax = 100_000_000;
/** UTF-16 units: 100 lines of it are 10 KB, within a frame. */
export const nameCharsMax = 100;

/** The lines and exact total of `items`. Throws `invalid_argument`, naming the field, for what cannot be ordered. */
export function priceOrder(items: readonly NewItem[]): { lines: OrderLine[]; totalMinor: number } {
  if (items.length < 1 || items.length > linesMax) throw refusal("items", `has 1 to ${linesMax} entries`);
  const lines = items.map(toLine);
  const totalMinor = lines.reduce((sum, { quantity, priceMinor }) => sum + quantity * priceMinor, 0);
  return { lines, totalMinor };
}

function toLine({ name, quantity, price }: NewItem, index: number): OrderLine {
  const field = `items[${index}]`;
  if (name.length < 1 || name.length > nameCharsMax || !name.isWellFormed() || name.includes("\0")) {
    throw refusal(`${field}.name`, `is text of 1 to ${nameCharsMax} characters`);
  }
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > quantityMax) {
    throw refusal(`${field}.quantity`, `is a whole number from 1 to ${quantityMax}`);
  }
  const priceMinor = toMinor(price);
  if (priceMinor === undefined || priceMinor > priceMinorMax) {
    throw refusal(`${field}.price`, `is an amount from 0 to ${priceMinorMax / 100} with at most two decimals`);
  }
  return { name, quantity, priceMinor };
}

function refusal(field: string, rule: string): FlotillaError {
  return new FlotillaError("invalid_argument", `${field} ${rule}`);
}

/** `order` after it was cancelled. A cancelled order stays cancelled: asking twice is no error. */
export function cancel<O extends OrderSummary>(order: O): O {
  return { ...order, status: "cancelled" };
}

export function orderId(number: number): string {
  return `order${number}`;
}

/** The number within an order's id, or undefined for any other text: `order07` is no order's id. */
export function orderNumber(id: string): number | undefined {
  return /^order[1-9]\d{0,14}$/.test(id) ? Number(id.slice("order".length)) : undefined;
}
