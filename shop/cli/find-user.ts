import { advised, toCliError } from "./cli-error.ts";
import type { Shop } from "./shop.ts";
import { type Printable, say } from "./text.ts";

/** Where an account is meant: an argument's or an option's summary. */
export const userSummary = "its name or its id, as `flotilla users list` shows them";

export interface FoundUser {
  readonly id: string;
  /** As a person is asked about it: `bob (user2)`, or the id alone when that was typed. */
  readonly label: Printable;
}

/**
 * The account that `word` means. SECURITY: a word that looks like an id is one and nothing else, whatever accounts are
 * called; new ones cannot be called so. A name is looked up once: it is never given to another account, so the id that
 * the person agreed to is the one that is sent.
 * @throws CliError `not_found` for a name that no account has.
 */
export async function findUser(shop: Shop, word: string): Promise<FoundUser> {
  if (/^user\d+$/i.test(word)) return { id: word, label: say`${word}` };
  const named = (name: string) => shop.callAs((gateway, token) => gateway.findUser(token, name));
  const { id, username } = await named(word).catch((thrown) => {
    const error = toCliError(thrown);
    throw error.code === "not_found" ? advised(error, unknownUser) : error;
  });
  return { id, label: say`${username} (${id})` };
}

export const unknownUser = "`flotilla users list` shows which there are, with their names and ids";
