import { readFileSync } from "node:fs";
import type { Item } from "../contracts/orders.ts";
import { usageError } from "./cli-error.ts";
import type { Prompt } from "./prompt.ts";
import { strictText } from "./strict-text.ts";

/**
 * What is ordered: `words`, or the JSON of `file`. Whether the shop sells it so is for the shop to say.
 * Throws a usage error that names the item at fault.
 */
export async function readItems(words: readonly string[], file: string | undefined, prompt: Prompt): Promise<Item[]> {
  if (file === undefined && words.length === 0) {
    throw usageError("An order has an item at least", "Such as `flotilla order create Laptop:1:999.99`");
  }
  if (file !== undefined && words.length > 0) throw usageError("Items come from --items or from the command, not both");
  return file === undefined ? words.map(parseItem) : parseItems(await read(file, prompt), file);
}

/** The name may have colons of its own. */
export function parseItem(word: string): Item {
  const [, name = "", quantity, price] = /^(.+):(\d{1,9}):(\d{1,12}(?:\.\d{1,2})?)$/su.exec(word) ?? [];
  if (name !== "") return { name, quantity: Number(quantity), price: Number(price) };
  throw usageError(`An item is NAME:QUANTITY:PRICE, such as Mouse:2:29.99; got ${JSON.stringify(word)}`);
}

async function read(file: string, prompt: Prompt): Promise<string> {
  if (file === "-") return await prompt.wholeInput();
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw usageError(`${file} cannot be read: ${(cause as Error).message}`);
  }
  return strictText(bytes, file);
}

function parseItems(text: string, file: string): Item[] {
  try {
    const items: unknown = JSON.parse(text);
    // What is in them the gateway's contract checks, and names the field at fault.
    if (Array.isArray(items)) return items as Item[];
  } catch {
    // Said below.
  }
  const from = file === "-" ? "Standard input" : file;
  throw usageError(`${from} is no JSON array`, 'Such as [{ "name": "Mouse", "quantity": 2, "price": 29.99 }]');
}
