import { availableParallelism } from "node:os";
import { FlotillaError, makeBulkhead, systemClock } from "@flotilla/kit";
import { parseOptions } from "@node-rs/argon2";
import { argonOptions } from "./argon.ts";
import { type HashThread, makeHashThread } from "./hash-thread.ts";

/**
 * Whether `passwordHash` cost less than one of today's: it is replaced at the next login. The hash says itself what it
 * cost; one that cannot be read is left to `verify`.
 */
export function isWeakHash(passwordHash: string): boolean {
  try {
    const { memoryCost = 0, timeCost = 0, algorithm } = parseOptions(passwordHash);
    return (
      algorithm !== argonOptions.algorithm || memoryCost < argonOptions.memoryCost || timeCost < argonOptions.timeCost
    );
  } catch {
    return false;
  }
}

/** UTF-16 units. Far above any passphrase; it bounds what one call makes us read. */
export const passwordCharsMax = 1_024;
/**
 * One core is left for what is not a login, and the threads that hash give way to everything else: so a flood of logins
 * slows nothing (measured: docs/attacks.md). At most two, which keeps the memory of hashing under 40 MiB.
 */
const parallelDefault = Math.min(2, Math.max(1, availableParallelism() - 1));
/** Above it callers are refused: 64 are worked off within a second, well before anybody's deadline. */
const waitingMax = 64;

/**
 * What an unknown user's password is compared with, so that the time taken does not tell who exists. A hash of 256
 * random bits that were thrown away, with the parameters above.
 */
export const dummyHash =
  "$argon2id$v=19$m=19456,t=2,p=1$6YegiPEVH++KeawOuLQKZQ$PwqfvHe5JExaE4As3NReM0QX/kxWNu8e6y4pqS4G6TU";

/**
 * Hashes and compares passwords. Both throw `invalid_argument` for a password above `passwordCharsMax` and
 * `resource_exhausted`, reason `passwords_busy`, when too many wait.
 */
export interface Passwords {
  /** A salted hash that carries its own parameters. */
  hash(password: string): Promise<string>;
  /** Whether `password` is the one of `passwordHash`. For undefined, an unknown user: false, after the same time. */
  verify(passwordHash: string | undefined, password: string): Promise<boolean>;
}

export function makePasswords({ parallel = parallelDefault }: { parallel?: number } = {}): Passwords {
  const inTurn = makeHashing(parallel);
  return {
    async hash(password) {
      const text = canonical(password);
      return (await inTurn((thread) => thread.run({ password: text }))) as string;
    },
    async verify(passwordHash, password) {
      const text = canonical(password);
      const work = { password: text, passwordHash: passwordHash ?? dummyHash };
      const same = (await inTurn((thread) => thread.run(work))) as boolean;
      return same && passwordHash !== undefined;
    },
  };
}

/** NFC, as RFC 8265 has it: keyboards spell the same accented letter in different ways. */
function canonical(password: string): string {
  if (password.length > passwordCharsMax) {
    throw new FlotillaError("invalid_argument", `A password has at most ${passwordCharsMax} characters`);
  }
  return password.normalize("NFC");
}

function busy(): FlotillaError {
  const detail = { reason: "passwords_busy", retryAfterMs: 1_000 };
  return new FlotillaError("resource_exhausted", "Too many people are logging in now; try again in a moment", detail);
}

/** Runs at most `parallel` at once, each on a thread of its own, first come first served. */
function makeHashing(parallel: number): <T>(work: (thread: HashThread) => Promise<T>) => PromiseLike<T> {
  const free = Array.from({ length: parallel }, makeHashThread);
  const bulkhead = makeBulkhead({
    ...{ runningMax: parallel, waitingMax, waitMsMax: Number.POSITIVE_INFINITY },
    ...{ refusal: busy, clock: systemClock },
  });
  return (work) =>
    bulkhead.run(async () => {
      const thread = free.pop()!;
      try {
        return await work(thread);
      } finally {
        free.push(thread);
      }
    });
}
