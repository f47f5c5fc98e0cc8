import { addCondition, notAfter } from "./conditions.ts";

/**
 * Lets `implementation` end at `atMs` (milliseconds since the epoch): from then on its boundary refuses every call with
 * `permission_denied`, reason `expired`, and no introduction to it lives longer. Of several ends the first counts.
 */
export function expiring<T extends object>(implementation: T, atMs: number): T {
  addCondition(implementation, notAfter(atMs));
  return implementation;
}
