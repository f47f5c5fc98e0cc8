import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type FlotillaError, openIdentity, runKeys } from "@flotilla/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../cli/run-cli.ts";
import { openSqliteOrderStore, migrations as orderMigrations } from "../orders/store-sql.ts";
import { openDataDirectory } from "../service/data-directory.ts";
import { lockDataDirectory } from "../supervisor/lock.ts";
import { openSqliteUserStore, migrations as userMigrations } from "../users/store-sql.ts";
import { backup } from "./backup.ts";
import { manifestName, verifyBackup } from "./manifest.ts";
import { restore } from "./restore.ts";

/** Of a port at which nothing ever listens: the services of these tests do not run. */
const nowhere = "http://127.0.0.1:1";
const hasModes = process.platform !== "win32";

let root = "";
let dataDir = "";
let to = "";
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "flotilla-backup-"));
  dataDir = join(root, "data");
  to = join(root, "backup");
  openDataDirectory(dataDir);
  for (const name of ["users", "orders", "gateway"]) openIdentity(join(dataDir, "keys"), name);
  openSqliteUserStore(join(dataDir, "users.db")).close();
  await place("first");
});
afterEach(() => rmSync(root, { recursive: true }));

async function place(key: string): Promise<void> {
  const store = openSqliteOrderStore(join(dataDir, "orders.db"));
  await store.place({
    userId: "user2",
    lines: [{ name: "Laptop", quantity: 1, priceMinor: 99_999 }],
    totalMinor: 99_999,
    createdAtMs: 1,
    idempotency: { key, scope: "user2", requestHash: "hash" },
  });
  store.close();
}

async function countIn(directory: string): Promise<number> {
  const store = openSqliteOrderStore(join(directory, "orders.db"));
  try {
    return await store.count();
  } finally {
    store.close();
  }
}

const back = () => backup({ dataDir, urls: { orders: nowhere, users: nowhere }, to, version: "1.2.3" });

async function refusalOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => "done",
    (error: unknown) => error,
  );
}

describe("a backup", () => {
  test("is restored as it was, with the keys, and closed to everybody else", async () => {
    const manifest = await back();
    await place("second");
    expect(manifest.migrations).toEqual({
      "orders.db": orderMigrations.map(({ name }) => name),
      "users.db": userMigrations.map(({ name }) => name),
    });
    expect(manifest.version).toBe("1.2.3");
    const other = join(root, "other");
    await restore({ from: to, dataDir: other });
    expect(await countIn(other)).toBe(1);
    expect(await countIn(dataDir)).toBe(2);
    for (const file of ["keys/users.key", "keys/trusted-keys"]) {
      expect(readFileSync(join(other, file))).toEqual(readFileSync(join(dataDir, file)));
    }
    if (!hasModes) return;
    for (const directory of [to, other]) {
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      expect(statSync(join(directory, "keys")).mode & 0o777).toBe(0o700);
      for (const file of ["orders.db", "users.db", "keys/users.key"]) {
        expect(statSync(join(directory, file)).mode & 0o777, file).toBe(0o600);
      }
    }
  });

  test("does not replace what is there, nor back up what is no data directory", async () => {
    await back();
    expect(await refusalOf(back())).toMatchObject({ code: "already_exists" });
    const empty = backup({
      dataDir: root,
      urls: { orders: nowhere, users: nowhere },
      to: join(root, "x"),
      version: "",
    });
    expect(await refusalOf(empty)).toMatchObject({ code: "not_found" });
  });

  test("is none when it cannot be finished: nothing is left", async () => {
    const store = openSqliteOrderStore(join(dataDir, "orders.db"));
    const refusal = await refusalOf(back());
    store.close();
    // It runs, and is not where it was looked for.
    expect(refusal).toMatchObject({ code: "unavailable", reason: "store_in_use" });
    expect((refusal as FlotillaError).message).toContain("not at http://127.0.0.1:1");
    expect(readdirSync(root)).toEqual(["data"]);
  });

  test("says that another database has tools of its own", async () => {
    rmSync(join(dataDir, "orders.db"));
    expect(await refusalOf(back())).toMatchObject({ code: "failed_precondition", reason: "store_elsewhere" });
    expect(readdirSync(root)).toEqual(["data"]);
  });
});

describe("a restore", () => {
  const damages: Record<string, () => void> = {
    "a byte is another": () => flip(join(to, "orders.db"), 5_000),
    "a key is another": () => flip(join(to, "keys", "users.key"), 40),
    "a file is missing": () => rmSync(join(to, "keys", "users.key")),
    "a file is there too much": () => writeFileSync(join(to, "keys", "mallory.key"), "x"),
    "a file is a link": () => symlinkSync(join(dataDir, "users.db"), join(to, "users2.db")),
    "its manifest is not UTF-8": () => {
      const manifest = readFileSync(join(to, manifestName), "utf8");
      writeFileSync(join(to, manifestName), Buffer.from(manifest.replace("{", '{ "\u00e4": 1,'), "latin1"));
    },
    "it was cut short": () => rmSync(join(to, manifestName)),
    "its manifest leads out of it": () => editManifest("keys/users.key", "../users.key"),
    "its time would command the terminal": () => editManifest('"startedAt": "', '"startedAt": "\\u001b[8m'),
    "it is of another format": () => editManifest('"format": 1', '"format": 2'),
  };

  test.each(Object.entries(damages))("refuses a backup when %s, and touches nothing", async (what, damage) => {
    await back();
    await verifyBackup(to);
    damage();
    const other = join(root, "other");
    expect(await refusalOf(restore({ from: to, dataDir: other }))).toMatchObject({
      code: what === "it was cut short" ? "not_found" : "failed_precondition",
      reason: expect.stringMatching(/^(backup_damaged|no_backup)$/),
    });
    expect(readdirSync(root).sort()).toEqual(["backup", "data"]);
  });

  test("refuses where something is, and moves it aside when it is told to", async () => {
    await back();
    await place("second");
    expect(await refusalOf(restore({ from: to, dataDir }))).toMatchObject({ code: "already_exists" });
    expect(await countIn(dataDir)).toBe(2);
    const { replaced } = await restore({ from: to, dataDir, force: true });
    expect(await countIn(dataDir)).toBe(1);
    expect(await countIn(replaced!)).toBe(2);
    // Once more: what was moved aside is no reason to refuse, and stays.
    await restore({ from: to, dataDir, force: true });
    expect(await countIn(replaced!)).toBe(2);
  });

  test("replaces a store that is damaged, which is what it is for", async () => {
    await back();
    writeFileSync(join(dataDir, "orders.db"), "no database at all");
    await restore({ from: to, dataDir, force: true });
    expect(await countIn(dataDir)).toBe(1);
  });

  test("keeps revoked what was revoked since the backup, also when it is done again after it was cut short", async () => {
    const keys = join(dataDir, "keys");
    const keysOf = (name: string) =>
      readFileSync(join(keys, "trusted-keys"), "utf8").match(new RegExp(`trust ${name} \\S+`, "g"))!;
    const [stolen = ""] = keysOf("gateway");
    await back();
    const run = (...args: string[]) =>
      runKeys({ directory: keys, args, out: () => {}, err: (text) => expect.fail(text) });
    run("rotate", "gateway");
    run("revoke", "gateway");
    const { carried, replaced } = await restore({ from: to, dataDir, force: true });
    expect(carried).toEqual({ revoked: [{ name: "gateway", key: stolen.split(" ")[2] }], renewed: ["gateway"] });
    // As an attempt that was cut short leaves it: what was there is aside, and nothing has its place yet.
    rmSync(keys, { recursive: true });
    expect(readdirSync(replaced!)).toContain("keys");
    await restore({ from: to, dataDir, force: true });
    expect(readFileSync(join(keys, "trusted-keys"), "utf8")).toContain(stolen.replace("trust", "revoke"));
    // The key of the backup is the one that was revoked, so the service has another, and starts.
    const [before, after, ...others] = keysOf("gateway");
    expect([before, others]).toEqual([stolen, []]);
    expect(after).not.toBe(stolen);
    expect(() => openIdentity(keys, "gateway")).not.toThrow();
  });

  test("refuses while a system runs there, or one of its services by itself", async () => {
    await back();
    const lock = lockDataDirectory(dataDir);
    expect(await refusalOf(restore({ from: to, dataDir, force: true }))).toMatchObject({
      reason: "data_directory",
      // Another directory would be no advice here.
      message: `Flotilla already runs on ${dataDir} (process ${process.pid}). Stop it first`,
    });
    lock.release();
    const store = openSqliteOrderStore(join(dataDir, "orders.db"));
    expect(await refusalOf(restore({ from: to, dataDir, force: true }))).toMatchObject({ reason: "store_in_use" });
    store.close();
    expect(await countIn(dataDir)).toBe(1);
  });

  test("that was cut short keeps services from starting, and is done again", async () => {
    await back();
    mkdirSync(join(dataDir, "restoring"));
    expect(() => openDataDirectory(dataDir)).toThrow("restore it again");
    await restore({ from: to, dataDir, force: true });
    expect(openDataDirectory(dataDir)).toBe(dataDir);
    expect(await countIn(dataDir)).toBe(1);
  });

  test("that fails before it moves anything leaves what was there, and services start on it", async () => {
    await back();
    breakTrust();
    const before = readdirSync(dataDir).sort();
    await expect(restore({ from: to, dataDir, force: true })).rejects.toThrow("EISDIR");
    expect(
      readdirSync(dataDir)
        .filter((name) => !name.startsWith("supervisor.lock"))
        .sort(),
    ).toEqual(before);
    expect(openDataDirectory(dataDir)).toBe(dataDir);
  });

  test("that was cut short keeps services from starting also when the next is refused or fails", async () => {
    await back();
    mkdirSync(join(dataDir, "restoring"));
    expect(await refusalOf(restore({ from: to, dataDir }))).toMatchObject({ code: "already_exists" });
    expect(() => openDataDirectory(dataDir)).toThrow("restore it again");
    breakTrust();
    await expect(restore({ from: to, dataDir, force: true })).rejects.toThrow("EISDIR");
    expect(() => openDataDirectory(dataDir)).toThrow("restore it again");
  });
});

/** The revocations of the data directory can be read no more. */
function breakTrust(): void {
  rmSync(join(dataDir, "keys", "trusted-keys"));
  mkdirSync(join(dataDir, "keys", "trusted-keys"));
}

function editManifest(found: string, replacement: string): void {
  const file = join(to, manifestName);
  writeFileSync(file, readFileSync(file, "utf8").replace(found, replacement));
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(file, bytes, { mode: 0o600 });
}

test("the commands do both, and say what they did, or why not", async () => {
  let said = "";
  const env = { FLOTILLA_DATA: dataDir, FLOTILLA_USERS_URL: nowhere, FLOTILLA_ORDERS_URL: nowhere };
  const output = { write: (text: string) => (said += text) };
  const command = (...args: string[]) =>
    runCli({ args, env, input: Readable.from([]), out: output, err: output, exit: () => undefined });
  expect(await command("backup", to)).toBe(0);
  expect(said).toMatch(/^✓ Backed up .*data to .*backup: \d+ files, [\d.]+ MiB, verified\n$/);
  expect(await command("backup", to)).toBe(5);
  expect(await command("backup")).toBe(2);
  expect(await command("backup", join(root, "other"), "--data", join(root, "missing"))).toBe(4);
  expect(await command("restore", join(root, "missing"), "--yes")).toBe(4);
  expect(await command("restore", to)).toBe(2);
  expect(said).toContain("Use --yes to agree");
  expect(await command("restore", to, "--yes")).toBe(0);
  expect(said).toMatch(/The earlier files are in .*replaced-/);
});

test.each(["backup", "restore"])(
  "flotilla %s prints what it was given as text, whatever a terminal would obey",
  (command) => {
    const { stderr } = spawnSync(
      process.execPath,
      [join(import.meta.dirname, "../cli/flotilla.ts"), command, "\x1b[8m/x"],
      {
        cwd: root,
        env: { ...process.env, FLOTILLA_DATA: join(root, "no\x1b[8mwhere") },
        encoding: "utf8",
      },
    );
    expect(stderr).toContain("\\x1b[8m");
    expect(stderr).not.toContain("\x1b");
  },
);
