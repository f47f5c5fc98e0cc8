/** How something grows, by least squares. */
export interface Slope {
  /** Per unit of time. */
  readonly perUnit: number;
  /** The standard error of that: what chance makes of it. */
  readonly error: number;
}

/** @param points at least three; `at` in units of time. */
export function slopeOf(points: readonly { readonly at: number; readonly value: number }[]): Slope {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const at = mean(points.map((point) => point.at));
  const value = mean(points.map((point) => point.value));
  const spread = points.reduce((sum, point) => sum + (point.at - at) ** 2, 0);
  const perUnit = points.reduce((sum, point) => sum + (point.at - at) * (point.value - value), 0) / spread;
  const rest = points.reduce((sum, point) => sum + (point.value - value - perUnit * (point.at - at)) ** 2, 0);
  return { perUnit, error: Math.sqrt(rest / (points.length - 2) / spread) };
}

/** Whether it may well grow by no more than `perUnitMax`: by twice the error, chance alone exceeds that once in forty times. */
export function isFlat({ perUnit, error }: Slope, perUnitMax: number): boolean {
  return perUnit - 2 * error < perUnitMax;
}
