import { type Algorithm, hashSync, type Options, verifySync } from "@node-rs/argon2";

/** Argon2id as OWASP advises: 19 MiB, two passes, one lane; 6 to 20 ms of one core. The hash carries them. */
export const argonOptions = {
  algorithm: 2 satisfies Algorithm.Argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
} satisfies Options;

/** One piece of work: to hash `password`, or with `passwordHash` to compare it with that. */
export interface HashWork {
  readonly password: string;
  readonly passwordHash?: string;
}

/** What came of it, or that the hash could not be read. */
export type HashOutcome = { readonly result: string | boolean } | { readonly failure: string };

/** Takes a core for some milliseconds: for a thread that nobody waits for. */
export function doHashWork({ password, passwordHash }: HashWork): HashOutcome {
  try {
    const result = passwordHash === undefined ? hashSync(password, argonOptions) : verifySync(passwordHash, password);
    return { result };
  } catch (thrown) {
    return { failure: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
