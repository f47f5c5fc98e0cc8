import { usageError } from "./cli-error.ts";
import type { Prompt } from "./prompt.ts";
import { say } from "./text.ts";

/** Asked for twice, because it cannot be seen. */
export async function newPassword(prompt: Prompt, instead: string): Promise<string> {
  const password = await prompt.secret(say`New password: `, instead);
  if ((await prompt.secret(say`The same again: `, instead)) === password) return password;
  throw usageError("The two passwords differ", "Run it again");
}
