/** A mechanism behind a promise, what to put in its place, and the test that then fails. */
export interface Mutant {
  readonly promise: string;
  readonly file: string;
  readonly cut: string;
  readonly put: string;
  readonly test: string;
}
