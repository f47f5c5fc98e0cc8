import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { serve } from "@flotilla/kit";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { CommandSpec, Context } from "./command.ts";
import { allCommands } from "./commands.ts";
import {
  falseAnswers,
  falseMain,
  hostile,
  login,
  type Manner,
  manners,
  startFalseGateway,
} from "./fixtures/false-gateway.ts";
import { runSession } from "./repl/session.ts";
import { runCli } from "./run-cli.ts";
import { runDemo } from "./run-demo.ts";
import { makeTerminal } from "./terminal.ts";

type Behaviour = Manner | { status: number; body: string };

const home = mkdtempSync(join(tmpdir(), "flotilla-false-"));
const env = { XDG_CONFIG_HOME: home, TERM: "xterm" };
let behaviour: Behaviour = "an answer whose texts are hostile";
let gateway: Awaited<ReturnType<typeof startFalseGateway>>;

beforeAll(async () => {
  gateway = await startFalseGateway(() => (typeof behaviour === "string" ? falseAnswers(behaviour) : behaviour));
});
afterAll(() => {
  gateway.server.close();
  rmSync(home, { recursive: true });
});
/** Arguments of each command that asks the gateway. */
const calls: readonly string[] = [
  "login alice --password-stdin",
  "logout",
  "logout --everywhere --yes",
  "whoami",
  "profile show",
  "profile edit --email a@example.org",
  "password change --password-stdin",
  "sessions list",
  "sessions end s1",
  "sessions renew",
  "order create Lamp:1:2",
  "order list --limit 1",
  "order list --all --limit 1",
  "order list --user bob --limit 1",
  "order show order1",
  "order cancel order1",
  "users list",
  "users list --details",
  "users create dora --email d@example.org --password-stdin",
  "users disable bob --yes",
  "users enable bob",
  "users delete bob --yes",
  "users set-role bob moderator",
  "roles list",
  "roles create support order.view",
  "roles delete support --yes",
  "roles set-permissions support order.view",
  "audit",
  "audit --orders --user bob",
  "status",
  "status --details",
];

interface Said {
  out: string;
  err: string;
}

/** With the login that a false gateway gave an earlier command. */
async function run(line: string, isTTY: boolean): Promise<Said> {
  mkdirSync(join(home, "flotilla"), { recursive: true, mode: 0o700 });
  const kept = { ...login, username: hostile, userId: hostile, role: hostile };
  const file = join(home, "flotilla", "default.json");
  writeFileSync(file, JSON.stringify({ gateway: gateway.url, login: kept }), { mode: 0o600 });
  const said: Said = { out: "", err: "" };
  await runCli({
    args: [...line.split(" "), "--gateway", gateway.url],
    env,
    input: Readable.from([Buffer.from("password\nanother password\n")]),
    out: { isTTY, write: (text: string) => (said.out += text) },
    err: { isTTY, write: (text: string) => (said.err += text) },
    exit: () => undefined,
  });
  return said;
}

/** Characters that a terminal obeys, or that make it show another text than there is. */
const obeyed = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u;

/** Our own colours, and the line that a wait shows and removes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them.
const ours = /\x1b\[(?:1|2|22|3[1236]|39)m|\r\x1b\[K/g;

function expectHarmless(text: string, line: string): void {
  const plain = text.replace(ours, "");
  for (const shown of plain.split("\n")) {
    expect(obeyed.exec(shown), `${line}: ${JSON.stringify(shown)}`).toBeNull();
    expect(shown.startsWith("✓ forged"), `${line}: ${JSON.stringify(plain)}`).toBe(false);
  }
}

const refusal = JSON.stringify({ code: "invalid_argument", message: hostile, reason: hostile, requestId: hostile });
const readyness = { service: "gateway", status: hostile, waitsFor: [{ name: hostile, forMs: hostile }] };
const behaviours: readonly (readonly [name: string, Behaviour])[] = [
  ...(Object.keys(manners) as Manner[]).map((manner) => [manner, manner] as const),
  ["a coded refusal of the batch", { status: 400, body: refusal }],
  ["a page that is none of ours", { status: 418, body: hostile }],
  ["a batch of no messages", { status: 200, body: JSON.stringify({ [hostile]: hostile }) }],
  ["a hostile state", { status: 200, body: JSON.stringify(readyness) }],
  ["a hostile state of not being ready", { status: 400, body: JSON.stringify(readyness) }],
];

/** An answer to the request itself is read in one place for all commands, but for `status`. */
function linesFor(how: Behaviour): readonly string[] {
  return typeof how === "string" ? calls : calls.filter((line) => /^(login|whoami|order create|status)/.test(line));
}

test.each(behaviours)("%s reaches the terminal as text, whatever the command", async (_, how) => {
  behaviour = how;
  for (const line of linesFor(how)) {
    const { out, err } = await run(`${line} --verbose`, true);
    expectHarmless(out, line);
    expectHarmless(err, line);
  }
});

test("what a script reads with --quiet is text, too", async () => {
  behaviour = "an answer whose texts are hostile";
  for (const line of calls) expectHarmless((await run(`${line} --quiet`, false)).out, line);
});

test.each(behaviours)("%s is valid JSON of harmless characters with --json", async (_, how) => {
  behaviour = how;
  for (const line of linesFor(how)) {
    const { out, err } = await run(`${line} --json --verbose`, true);
    expect(`${out}${err}`, line).not.toBe("");
    for (const document of `${out}${err}`.trimEnd().split("\n")) {
      expect(() => JSON.parse(document), `${line}: ${document}`).not.toThrow();
      expect(obeyed.exec(document), `${line}: ${document}`).toBeNull();
    }
  }
});

test.each(Object.keys(manners) as Manner[])("in the demo, too, %s is text", async (how) => {
  behaviour = how;
  const said: Said = { out: "", err: "" };
  await runDemo({
    env: { FLOTILLA_GATEWAY_URL: gateway.url },
    timeoutMs: 1,
    out: { write: (text: string) => (said.out += text) },
    err: { write: (text: string) => (said.err += text) },
    exit: () => undefined,
  });
  expect(said.out).toContain("1. Login as Bob");
  for (const text of Object.values(said)) expectHarmless(text, "demo");
});

const session = [
  "await gateway.getUserProfile(token)",
  "await gateway.listUsers(token)",
  "await (await account()).sessions()",
  "await gateway.status(token).then((answer) => [answer], (error) => [error])",
  "await gateway.status(token).catch((error) => new Map([[error.message, new Error(error.message)]]))",
  "await login('alice', 'password')",
  "caps()",
  "why(1)",
];

/** Errors without a code do not pass the kit, which serves here. */
const coded = (Object.keys(manners) as Manner[]).filter((it) => it !== "an error that has no code");

test.each(coded)("in a session that holds capabilities, too, %s is text", async (how) => {
  const onHiddenError = () => undefined;
  const server = await serve({ name: "gateway", port: 0, main: () => falseMain(how), onHiddenError });
  onTestFinished(() => server.drain(0));
  const kept = { ...login, username: hostile };
  const shop = { url: server.url, login: () => kept, token: async () => kept.token };
  for (const json of [false, true]) {
    const said: Said = { out: "", err: "" };
    const err = {
      write(text: unknown) {
        said.err += text;
        return true;
      },
    };
    using _ = vi.spyOn(process.stderr, "write").mockImplementation(err.write);
    const terminal = makeTerminal({ out: err, err, json, quiet: false, verbose: true, color: false });
    const output = new PassThrough({ encoding: "utf8" }).on("data", (text: string) => {
      said.out += text;
    });
    const context = { terminal, shop, signal: new AbortController().signal } as unknown as Context;
    await runSession({ context, input: Readable.from([Buffer.from(session.join("\n"))]), output });
    expect(said.out + said.err, how).toMatch(/\\(x1b|u001b)\[8mhid/i);
    for (const text of Object.values(said)) expectHarmless(text, `repl of ${how}`);
  }
});

test("each command that asks the gateway is called above", async () => {
  const leaves = (spec: CommandSpec, path: string): string[] =>
    spec.commands?.flatMap((child) => leaves(child, `${path} ${child.name}`)) ?? (spec.calls ? [path] : []);
  const paths = (await allCommands()).flatMap((spec) => leaves(spec, spec.name));
  expect(paths.filter((path) => !calls.some((line) => `${line} `.startsWith(`${path} `)))).toEqual([]);
});
