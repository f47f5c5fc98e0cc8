import { deepStrictEqual } from "node:assert/strict";
import type { Home } from "../introduction/home.ts";
import type { TestLink } from "./test-link.ts";

/** What is to be at rest. */
export interface LeakCheck {
  readonly links: readonly TestLink[];
  readonly homes?: readonly Home[];
}

/** Entries in the tables of a session at rest: each side's main object. */
export const tablesAtRest = { imports: 1, exports: 1 } as const;

/** Throws when a session's tables, or a home's, are not as they were at the start: 10 ms after the last call, or later. */
export function expectNoLeaks({ links, homes = [] }: LeakCheck): void {
  for (const link of links) {
    const tables = { near: link.near.stats(), far: link.far.stats() };
    deepStrictEqual(tables, { near: tablesAtRest, far: tablesAtRest }, `the tables of the link to ${link.name}`);
  }
  for (const home of homes) {
    deepStrictEqual(home.counts(), { deposits: 0, parked: 0 }, `what is deposited and parked at ${home.name}`);
  }
}
