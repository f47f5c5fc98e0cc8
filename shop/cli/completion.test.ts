import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { allCommands } from "./commands.ts";
import { completionScript } from "./completion.ts";

const tree = await allCommands();
const has = (shell: string) => spawnSync(shell, ["--version"]).status === 0;

/** What bash offers for the last of `words`. */
function offered(...words: string[]): string[] {
  const script = `${completionScript("bash", tree)}
COMP_WORDS=(flotilla "$@"); COMP_CWORD=$#; _flotilla; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-u", "-c", script, "bash", ...words], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

// A system without bash has nobody who completes in it.
describe.skipIf(!has("bash"))("in bash", () => {
  test("commands are offered where they can stand", () => {
    expect(offered("")).toEqual(tree.map(({ name }) => name));
    expect(offered("or")).toEqual(["order"]);
    expect(offered("order", "")).toEqual(["create", "list", "show", "cancel"]);
    expect(offered("order", "c")).toEqual(["create", "cancel"]);
    expect(offered("order", "list", "")).toEqual([]);
    expect(offered("completion", "")).toEqual(["bash", "zsh", "fish"]);
  });

  test("options are offered where they count, those for all commands everywhere", () => {
    expect(offered("order", "list", "--b")).toEqual(["--before"]);
    expect(offered("order", "show", "--b")).toEqual([]);
    expect(offered("order", "list", "--js")).toEqual(["--json"]);
    expect(offered("--ver")).toEqual(["--verbose", "--version"]);
  });

  test("the value of an option is no command, and is not guessed", () => {
    expect(offered("--profile", "order", "or")).toEqual(["order"]);
    expect(offered("order", "list", "--limit", "")).toEqual([]);
    expect(offered("order", "create", "--items", "/et")).toContain("/etc");
  });

  test("the script is one that bash accepts", () => {
    expect(spawnSync("bash", ["-n"], { input: completionScript("bash", tree) }).status).toBe(0);
  });
});

test.skipIf(!has("zsh"))("the script for zsh is one that it accepts", () => {
  expect(spawnSync("zsh", ["-n"], { input: completionScript("zsh", tree) }).status).toBe(0);
});

test.skipIf(!has("fish"))("the script for fish is one that it accepts", () => {
  expect(spawnSync("fish", ["-n"], { input: completionScript("fish", tree) }).status).toBe(0);
});

test.each(["zsh", "fish"] as const)("the script for %s knows every command and option of the tree", (shell) => {
  const script = completionScript(shell, tree);
  for (const text of ["order create", "sessions", "set-permissions"]) expect(script).toContain(text);
  expect(script).toMatch(/idempotency-key/);
});
