import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { minorMax } from "./money.ts";
import { cancel, linesMax, type NewItem, nameCharsMax, type Order, orderId, orderNumber, priceOrder } from "./order.ts";

const mouse: NewItem = { name: "Mouse", quantity: 2, price: 29.99 };
const refusalOf = (items: NewItem[]) => {
  try {
    priceOrder(items);
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
};

describe("pricing an order", () => {
  it("adds up to the specification's total", () => {
    const { lines, totalMinor } = priceOrder([{ name: "Laptop", quantity: 1, price: 999.99 }, mouse]);
    expect(totalMinor).toBe(105_997);
    expect(lines[1]).toEqual({ name: "Mouse", quantity: 2, priceMinor: 2_999 });
  });

  it("is exact for the largest order there can be", () => {
    const largest = { name: "x".repeat(nameCharsMax), quantity: 10_000, price: 1_000_000 };
    expect(priceOrder(Array(linesMax).fill(largest)).totalMinor).toBe(100_000_000_000_000);
    expect(100_000_000_000_000).toBeLessThan(minorMax);
  });

  it("is exact for any order: integers of any size agree", () => {
    const item = fc.record({
      name: fc.constant("x"),
      quantity: fc.integer({ min: 1, max: 10_000 }),
      minor: fc.integer({ min: 0, max: 100_000_000 }),
    });
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: linesMax }), (items) => {
        const exact = items.reduce((sum, { quantity, minor }) => sum + BigInt(quantity) * BigInt(minor), 0n);
        const { totalMinor } = priceOrder(items.map(({ minor, ...rest }) => ({ ...rest, price: minor / 100 })));
        return BigInt(totalMinor) === exact;
      }),
    );
  });

  it.each<[string, Partial<NewItem>]>([
    ["name", { name: "" }],
    ["name", { name: "x".repeat(nameCharsMax + 1) }],
    ["name", { name: "half a pair \ud83d" }],
    ["quantity", { quantity: 0 }],
    ["quantity", { quantity: -1 }],
    ["quantity", { quantity: 1.5 }],
    ["quantity", { quantity: 10_001 }],
    ["quantity", { quantity: Number.NaN }],
    ["price", { price: -0.01 }],
    ["price", { price: 0.1 + 0.2 }],
    ["price", { price: 1_000_000.01 }],
    ["price", { price: Number.POSITIVE_INFINITY }],
  ])("names the field: %s of %o cannot be ordered", (field, change) => {
    const refusal = refusalOf([mouse, { ...mouse, ...change }]);
    expect(refusal).toMatchObject({ code: "invalid_argument" });
    expect(String(refusal)).toContain(`items[1].${field} `);
  });

  it("needs one line and takes a hundred", () => {
    expect(refusalOf([])).toMatchObject({ code: "invalid_argument" });
    expect(priceOrder(Array(linesMax).fill(mouse)).lines).toHaveLength(linesMax);
    expect(refusalOf(Array(linesMax + 1).fill(mouse))).toMatchObject({ code: "invalid_argument" });
  });
});

it("an order is cancelled once, and cancelling it again changes nothing", () => {
  const order: Order = { id: "order1", userId: "user1", lines: [], totalMinor: 0, status: "pending", createdAtMs: 1 };
  const cancelled = cancel(order);
  expect(cancelled).toEqual({ ...order, status: "cancelled" });
  expect(cancel(cancelled)).toEqual(cancelled);
  expect(order.status).toBe("pending");
});

it("an id gives back its number, and other text none", () => {
  fc.assert(fc.property(fc.integer({ min: 1 }), (number) => orderNumber(orderId(number)) === number));
  for (const text of ["", "order", "order0", "order01", "order-1", "Order1", "user1", "order9999999999999999"]) {
    expect(orderNumber(text)).toBeUndefined();
  }
});
