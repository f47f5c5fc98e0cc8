import { AsyncLocalStorage } from "node:async_hooks";
import type { DatabaseSync } from "node:sqlite";
import { closedError } from "./sqlite-error.ts";
import type { Health } from "./sqlite-health.ts";

/** Units of one commit: its sync to disk is shared by so many, and what runs at once stays below some 10 ms. */
const unitsPerCommitMax = 64;

interface Waiting {
  /** In the context of whoever asked for it. */
  work(): unknown;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

/** Runs synchronous units of work on one connection. */
export interface Units {
  /** Resolves when `work` is on disk; if it throws, nothing of it happened, and the promise is rejected with that. */
  add<T>(work: () => T): Promise<T>;
  /** Commits what waits, now; for whoever closes the connection afterwards. */
  flush(): void;
}

/**
 * Group commit: the units that arrive in one turn of the event loop share a transaction, each within a savepoint of its
 * own, and one sync to disk. They are settled after it: also those that were refused, because what a unit saw of one
 * before it counts only when it is kept. The oldest idea of databases (DeWitt et al., 1984, "group commit").
 */
export function makeUnits(db: DatabaseSync, health: Health): Units {
  let waiting: Waiting[] = [];
  let isScheduled = false;

  return {
    add<T>(work: () => T): Promise<T> {
      const inContext = AsyncLocalStorage.snapshot();
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      waiting.push({ work: () => inContext(work), resolve: resolve as Waiting["resolve"], reject });
      schedule();
      return promise;
    },
    flush() {
      while (waiting.length > 0) commitGroup();
    },
  };

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (waiting.length === 0) return;
      commitGroup();
      if (waiting.length > 0) schedule();
    });
  }

  function commitGroup(): void {
    const group = waiting.slice(0, unitsPerCommitMax);
    waiting = waiting.slice(unitsPerCommitMax);
    const settle: (() => void)[] = [];
    try {
      if (!db.isOpen) throw closedError();
      health.assertSound();
      rollback(db);
      db.exec("BEGIN IMMEDIATE");
      for (const unit of group) settle.push(group.length === 1 ? runAlone(unit) : runWithin(unit));
      db.exec("COMMIT");
    } catch (error) {
      rollback(db);
      const refusal = health.failed(error);
      for (const { reject } of group) reject(refusal);
      return;
    }
    health.committed();
    for (const done of settle) done();
  }

  function runAlone({ work, resolve }: Waiting): () => void {
    const result = work();
    return () => resolve(result);
  }

  /** @throws what ended the transaction of all: the disk is full, say. */
  function runWithin({ work, resolve, reject }: Waiting): () => void {
    db.exec("SAVEPOINT unit");
    try {
      const result = work();
      db.exec("RELEASE unit");
      return () => resolve(result);
    } catch (error) {
      if (!db.isTransaction) throw error;
      db.exec("ROLLBACK TO unit; RELEASE unit");
      const refusal = health.failed(error);
      return () => reject(refusal);
    }
  }
}

/** SQLite may have ended the transaction itself. If this fails too, the next group tries again before it begins. */
function rollback(db: DatabaseSync): void {
  if (!db.isOpen || !db.isTransaction) return;
  try {
    db.exec("ROLLBACK");
  } catch {
    // The error that led here is the one to report.
  }
}
