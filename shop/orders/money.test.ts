import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { minorMax, toMajor, toMinor } from "./money.ts";

/** Decimal text, as JSON carries it, made without floating point. */
const literal = (minor: number) => `${Math.floor(minor / 100)}.${String(minor % 100).padStart(2, "0")}`;

describe("money", () => {
  it.each([
    [0, 0],
    [0.01, 1],
    [0.29, 29],
    [1.15, 115],
    [29.99, 2_999],
    [999.99, 99_999],
    [1059.97, 105_997],
    [4999.99, 499_999],
    [1_000_000, 100_000_000],
  ])("%d is %i minor units", (price, minor) => {
    expect(toMinor(price)).toBe(minor);
    expect(toMajor(minor)).toBe(price);
  });

  it("is exact both ways for every cent up to 1,000.00 and every 97th up to 1,000,000.00", () => {
    const wrong: number[] = [];
    for (let minor = 0; minor <= 100_000_000; minor += minor < 100_000 ? 1 : 97) {
      const price = Number(literal(minor));
      if (toMinor(price) !== minor || toMajor(minor) !== price) wrong.push(minor);
    }
    expect(wrong).toEqual([]);
  });

  it("is exact both ways for any amount", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: minorMax }), (minor) => {
        const price = Number(literal(minor));
        return toMinor(price) === minor && toMajor(minor) === price;
      }),
    );
  });

  it("has no more than two decimals", () => {
    const thousandths = fc.integer({ min: 1, max: 1e12 }).filter((n) => n % 10 !== 0);
    fc.assert(fc.property(thousandths, (n) => toMinor(Number(`${n}e-3`)) === undefined));
  });

  it("is the double of a two-decimal literal or nothing, whatever number comes", () => {
    fc.assert(
      fc.property(fc.double(), (price) => {
        const minor = toMinor(price);
        return minor === undefined || (Number.isSafeInteger(minor) && Number(literal(minor)) === price);
      }),
    );
  });

  it.each([0.1 + 0.2, 0.001, 1e-9, 1.005, -0.01, -1, -0, Number.NaN, Infinity, -Infinity, 1e13 + 1, 2 ** 53, 1e300])(
    "%d is no amount",
    (price) => {
      expect(toMinor(price)).toBeUndefined();
    },
  );

  it.each([-1, 0.5, Number.NaN, Infinity, minorMax + 1])("%d minor units are a programmer's error", (minor) => {
    expect(() => toMajor(minor)).toThrow(RangeError);
  });
});
