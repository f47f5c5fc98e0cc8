import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, type FlotillaError, systemClock } from "@flotilla/kit";
import { afterEach, beforeEach, expect, it } from "vitest";
import { watchSyncs } from "../service/fixtures/syncs.ts";
import { makeAccessTokens, tokenLifetimeMsDefault } from "./access-token.ts";
import { addTokenKey, openTokenKeys, tokenKeyAgeMsMax, tokenKeyKeptMs } from "./token-keys.ts";

let nowMs = 1_700_000_000_000;
const clock: Clock = { ...systemClock, now: () => nowMs };
const bob = { accountId: "user2", sid: "a-login" };

let root = "";
let directory = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flotilla-token-keys-"));
  directory = join(root, "token-keys");
});
afterEach(() => rmSync(root, { recursive: true }));

const files = () => readdirSync(directory).filter((name) => name.endsWith(".key"));

it("the first key is made at the first start, for its owner only, and is there again after a restart", async () => {
  const keys = openTokenKeys(directory, clock);
  expect(files()).toHaveLength(1);
  const { token } = await makeAccessTokens({ clock, keys }).issue(bob);
  expect(files()).toHaveLength(1);
  if (process.platform !== "win32") {
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, files()[0]!)).mode & 0o777).toBe(0o600);
  }
  const restarted = makeAccessTokens({ clock, keys: openTokenKeys(directory, clock) });
  expect(await restarted.verify(token)).toMatchObject(bob);
});

it("a key that is old is replaced, and nobody is logged out by it", async () => {
  const tokens = makeAccessTokens({ clock, keys: openTokenKeys(directory, clock) });
  await tokens.issue(bob);
  nowMs += tokenKeyAgeMsMax - 1_000;
  const { token: before } = await tokens.issue(bob);
  nowMs += 1_000;
  const { token: after } = await tokens.issue(bob);
  expect(files()).toHaveLength(2);
  expect(after.split(".")[0]).not.toBe(before.split(".")[0]);
  nowMs += tokenLifetimeMsDefault - 1_001;
  expect(await tokens.verify(before)).toMatchObject(bob);
  expect(await tokens.verify(after)).toMatchObject(bob);
});

it("a key that a script adds signs within a minute, and the one before goes when its last token is over", async () => {
  const tokens = makeAccessTokens({ clock, keys: openTokenKeys(directory, clock) });
  const { token: before } = await tokens.issue(bob);
  nowMs += 1_000;
  const kid = addTokenKey(directory, nowMs);
  nowMs += 60_000;
  const { token: after } = await tokens.issue(bob);
  expect(JSON.parse(Buffer.from(after.split(".")[0]!, "base64url").toString())).toMatchObject({ kid });
  expect(await tokens.verify(before)).toMatchObject(bob);
  nowMs += tokenKeyKeptMs;
  await tokens.issue(bob);
  expect(files()).toEqual([expect.stringContaining(kid)]);
});

it.skipIf(process.platform === "win32")("a key that others can read is refused, with what to do", async () => {
  openTokenKeys(directory, clock).current();
  const file = join(directory, files()[0]!);
  chmodSync(file, 0o644);
  expect(() => openTokenKeys(directory, clock)).toThrow(/readable by other users: delete it/);
  chmodSync(file, 0o660);
  const closed: string[] = [];
  openTokenKeys(directory, clock, (name) => closed.push(name));
  expect([closed, statSync(file).mode & 0o777]).toEqual([[file], 0o600]);
});

it.each(["", "nonsense"])("a damaged key is named, with what to do: %j", (text) => {
  openTokenKeys(directory, clock).current();
  const file = join(directory, files()[0]!);
  writeFileSync(file, text);
  const damaged = { code: "failed_precondition", reason: "key_damaged", message: expect.stringContaining(file) };
  expect(() => openTokenKeys(directory, clock)).toThrow(expect.objectContaining(damaged));
});

it("a key is on disk, with its name, before it signs", () => {
  const isSynced = watchSyncs();
  openTokenKeys(directory, clock);
  expect([join(directory, files()[0]!), directory].filter((path) => !isSynced(path))).toEqual([]);
});

it("a key that is damaged while the service runs is named in the log alone", async () => {
  const keys = openTokenKeys(directory, clock);
  const file = join(directory, `${nowMs}.${"k".repeat(16)}.key`);
  writeFileSync(file, "nonsense", { mode: 0o600 });
  nowMs += 60_000;
  const tokens = makeAccessTokens({ clock, keys });
  const refusal = await tokens.issue(bob).catch((error: FlotillaError) => error);
  expect(refusal).toMatchObject({ code: "internal", cause: { reason: "key_damaged" } });
  expect((refusal as FlotillaError).message).not.toContain(directory);
  expect(() => keys.byId("unknown")).toThrow(expect.objectContaining({ code: "internal" }));
});
