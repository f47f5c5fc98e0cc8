/**
 * Money inside is an integer of minor units (cents); on the wire of the specified methods it is a number of major
 * units with at most two decimals.
 */

/** Ten thousand billion. Below it neighbouring cents are different doubles, so both directions are exact. */
export const minorMax = 1e15;

/**
 * The minor units of `price`, or undefined if it is not an amount: negative, -0, not finite, above `minorMax`, or with
 * more than two decimals. `0.1 + 0.2` is such a number; it is refused rather than rounded, for the sender computed it.
 */
export function toMinor(price: number): number | undefined {
  if (!(price >= 0) || Object.is(price, -0)) return undefined;
  const minor = Math.round(price * 100);
  if (minor > minorMax) return undefined;
  // Division of integers is correctly rounded: it gives the very double that the literal with two decimals does.
  return minor / 100 === price ? minor : undefined;
}

/** The number that is written with two decimals for `minor`, which is an integer from 0 to `minorMax`. */
export function toMajor(minor: number): number {
  if (!Number.isInteger(minor) || minor < 0 || minor > minorMax) throw new RangeError(`${minor} is no amount`);
  return minor / 100;
}
