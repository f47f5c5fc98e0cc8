import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { keyCheckMs } from "../base/limits.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { openIdentity } from "./identity.ts";
import { listKeys, revokeKey, rotateKey, runKeys } from "./keys.ts";
import { trustFileName } from "./trust.ts";

interface Keys extends Disposable {
  readonly directory: string;
  /** What a person sees, and the exit code. */
  run(...args: string[]): { readonly code: number; readonly out: string; readonly err: string };
}

function makeKeys(): Keys {
  const parent = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
  const directory = join(parent, "keys");
  return {
    directory,
    run(...args) {
      const said = { out: "", err: "" };
      const to = (where: "out" | "err") => (text: string) => {
        said[where] += `${text}\n`;
      };
      return { code: runKeys({ directory, args, out: to("out"), err: to("err") }), ...said };
    },
    [Symbol.dispose]: () => rmSync(parent, { recursive: true }),
  };
}

const word = /[\w-]{43}/;
const keyIn = (text: string) => word.exec(text)?.[0] ?? "";

describe("keys", () => {
  test("creates, lists, rotates and revokes, and tells what each key is by then", () => {
    using keys = makeKeys();
    const first = keyIn(keys.run("create", "orders").out);
    expect(keys.run("create", "orders").out).toBe(`trust orders ${first}\n`);
    const second = keyIn(keys.run("rotate", "orders").out);
    expect(second).not.toBe(first);
    expect(listKeys(keys.directory)).toMatchObject([
      { name: "orders", key: first, state: "trusted" },
      { name: "orders", key: second, state: "current" },
    ]);
    expect(keys.run("revoke", "orders").out).toBe(`revoked orders ${first}\n`);
    const today = new Date().toISOString().slice(0, 10);
    expect(keys.run("list").out).toBe(`orders  ${first}  revoked  ${today}\norders  ${second}  current  ${today}\n`);
    expect(JSON.parse(keys.run("list", "--json").out)).toMatchObject([{ state: "revoked" }, { state: "current" }]);
    expect(readdirSync(keys.directory).sort()).toEqual(["orders.key", trustFileName]);
    if (process.platform !== "win32") expect(statSync(join(keys.directory, "orders.key")).mode & 0o777).toBe(0o600);
  });

  test("carries trust to another machine by what show prints, and never a private key", () => {
    using here = makeKeys();
    using there = makeKeys();
    here.run("create", "users");
    const shown = here.run("show", "users").out;
    expect(shown).toMatch(/^trust users [\w-]{43}\n$/);
    const said = there.run(...shown.trim().split(" "));
    expect(said).toEqual({ code: 0, out: `trusted users ${keyIn(shown)}\n`, err: "" });
    expect(listKeys(there.directory)).toMatchObject([{ name: "users", state: "trusted" }]);
    // Only where the private key is does anybody know which one is signed with.
    expect(there.run("revoke", "users")).toMatchObject({ code: 1, err: expect.stringMatching(/say which key/) });
    expect(there.run("revoke", "users", keyIn(shown)).code).toBe(0);
    expect(there.run("trust", "users", keyIn(shown))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/stays so/),
    });
  });

  test("makes no key that a command line takes for an option", () => {
    using keys = makeKeys();
    // One in 64 would: that 500 are none by chance happens once in 2,600 runs.
    const made = Array.from({ length: 500 }, () => rotateKey(keys.directory, "orders"));
    expect(made.filter((key) => key.startsWith("-"))).toEqual([]);
  });

  test("says what is wrong: 2 for a word that is none, 1 for what cannot be done", () => {
    using keys = makeKeys();
    for (const args of [
      [],
      ["destroy"],
      ["rotate", "Orders"],
      ["trust", "orders"],
      ["trust", "orders", "short"],
      ["list", "--all"],
    ]) {
      const { code, out, err } = keys.run(...args);
      expect([code, args.length === 0 ? out : err]).toEqual([2, expect.stringMatching(/\S/)]);
    }
    for (const args of [
      ["show", "orders"],
      ["revoke", "orders"],
      ["revoke", "orders", "x".repeat(43)],
    ]) {
      expect(keys.run(...args)).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/\S/) });
    }
    expect(keys.run("--help")).toMatchObject({ code: 0, out: expect.stringMatching(/rotate NAME/) });
  });
});

describe("a key that is revoked", () => {
  test("ends the sessions that it opened, on both sides, and opens none; the one that took over opens the next", async () => {
    await using rig = makeRig();
    using keys = makeKeys();
    const clock = makeVirtualClock();
    const desk = makeDesk(clock);
    const home = openIdentity(keys.directory, "home");
    const orders = openIdentity(keys.directory, "orders");
    const server = await rig.serve({ identity: home, main: desk.mainFor, clock });
    // Whole waits, so that the clock stays at whole milliseconds, as clocks are.
    const connection = rig.connect<Desk>({ url: server.url, as: { identity: orders }, clock, random: () => 1 });
    await connection.opened();
    rotateKey(keys.directory, "orders");
    await clock.advance(keyCheckMs);
    expect([connection.isOpen, connection.sessionNumber]).toEqual([true, 1]);

    revokeKey(keys.directory, "orders");
    await clock.advance(keyCheckMs);
    await until(() => server.stats().sessions === 0, "the session of the revoked key has ended");
    await clock.advance(100);
    await until(() => connection.isOpen, "the next key has opened another");
    expect(await outcome(connection.main.add(1, 2))).toBe(3);

    // The server's own: it is the client that leaves.
    rotateKey(keys.directory, "home");
    revokeKey(keys.directory, "home");
    await clock.advance(keyCheckMs);
    await clock.advance(100);
    await until(
      () => connection.sessionNumber === 3 && connection.isOpen,
      "the server has proven itself by its next key",
    );
  });

  test("is refused though it is the right one by its name", async () => {
    await using rig = makeRig();
    using keys = makeKeys();
    const orders = openIdentity(keys.directory, "orders");
    const { url } = await rig.serve({ identity: openIdentity(keys.directory, "home"), main: makeDesk().mainFor });
    revokeKey(keys.directory, "orders", listKeys(keys.directory).find(({ name }) => name === "orders")?.key);
    const connection = rig.connect<Desk>({ url, as: { identity: orders } });
    await expect(connection.opened()).rejects.toMatchObject({ code: "unavailable", reason: "unauthenticated" });
  });
});

test("a trust file that is damaged while all run parts nobody, and lets nobody in; no peer hears of the file", async () => {
  await using rig = makeRig();
  using keys = makeKeys();
  const clock = makeVirtualClock();
  const hidden: unknown[] = [];
  const as = { identity: openIdentity(keys.directory, "orders") };
  const server = await rig.serve({
    identity: openIdentity(keys.directory, "home"),
    main: makeDesk(clock).mainFor,
    clock,
    onHiddenError: ({ cause }) => hidden.push(cause),
  });
  const connection = rig.connect<Desk>({ url: server.url, as, clock });
  await connection.opened();
  writeFileSync(join(keys.directory, trustFileName), "nonsense\n");
  await clock.advance(keyCheckMs);
  expect(await outcome(connection.main.add(1, 2))).toBe(3);
  const late = rig.connect<Desk>({ url: server.url, as, clock });
  const error = await late.opened().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "unavailable",
    reason: "internal",
    message: expect.not.stringContaining("trusted"),
  });
  expect(hidden).toMatchObject([{ cause: { reason: "trust_file" } }]);
});
