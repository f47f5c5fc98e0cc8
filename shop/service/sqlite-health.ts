import { FlotillaError, hasCode } from "@flotilla/kit";
import { storeError } from "./sqlite-error.ts";

/** `failing`: what was written last was not kept, and it is tried again. `damaged`: nothing is written any more. */
export type StoreHealth = "well" | "failing" | "damaged";

/** Hears of a change, with what the driver said. */
export type OnHealth = (health: StoreHealth, cause: unknown) => void;

/** While a store fails, it is tried so often whether it has recovered: nobody else may write then. Milliseconds. */
const tryMs = 1_000;

/** How it stands with one store. */
export interface Health {
  readonly state: StoreHealth;
  /** @throws FlotillaError `internal`, reason `store_damaged`: SECURITY: what is written to a damaged file damages more of it. */
  assertSound(): void;
  committed(): void;
  /** @returns what the caller is told of `thrown`. */
  failed(thrown: unknown): unknown;
  close(): void;
}

/** @param tryToWrite writes what changes nothing, and reports as every unit of work does. */
export function makeHealth(tryToWrite: () => void, onHealth: OnHealth = () => {}): Health {
  let state: StoreHealth = "well";
  let timer: NodeJS.Timeout | undefined;

  return {
    get state() {
      return state;
    },
    assertSound() {
      if (state !== "damaged") return;
      throw new FlotillaError("internal", "The store is damaged", { reason: "store_damaged" });
    },
    committed: () => become("well"),
    failed(thrown) {
      const error = storeError(thrown);
      // What is not the driver's is the caller's own.
      if (error === thrown) return error;
      const isPassing = hasCode(error, "unavailable");
      become(isPassing ? "failing" : "damaged", thrown);
      if (isPassing) tryLater();
      return error;
    },
    close: () => clearTimeout(timer),
  };

  function become(next: StoreHealth, cause?: unknown): void {
    // Damage does not heal: only a restart reads the file anew, and refuses it.
    if (next === state || state === "damaged") return;
    state = next;
    onHealth(next, cause);
  }

  function tryLater(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (state === "failing") tryToWrite();
    }, tryMs);
    timer.unref();
  }
}
