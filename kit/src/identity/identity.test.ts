import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../base/clock.ts";
import { spawnChild } from "../testing/child.ts";
import { makeHelloGuard, sayHello } from "./hello.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { rotateKey } from "./keys.ts";
import { readTrust, trustedKeys } from "./trust.ts";

interface Keys extends Disposable {
  readonly directory: string;
}

/** A place for keys that does not exist yet. */
function makeKeys(): Keys {
  const parent = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
  return {
    directory: join(parent, "deep", "keys"),
    [Symbol.dispose]: () => rmSync(parent, { recursive: true }),
  };
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const hasModes = process.platform !== "win32";

describe("the key of a service", () => {
  test("is made once, and is the same the next time", () => {
    using keys = makeKeys();
    const first = openIdentity(keys.directory, "users");
    const second = openIdentity(keys.directory, "users");
    expect(second.privateKey.equals(first.privateKey)).toBe(true);
    expect(first.privateKey.asymmetricKeyType).toBe("ed25519");
    expect(readdirSync(keys.directory).sort()).toEqual(["trusted-keys", "users.key"]);
    expect(readFileSync(join(keys.directory, "trusted-keys"), "utf8")).toMatch(
      /^trust users [\w-]{43} \d{4}-\d\d-\d\d\n$/,
    );
  });

  test.runIf(hasModes)("is readable by its user only, in a directory of its user's only, whatever the umask", () => {
    using keys = makeKeys();
    const umask = process.umask(0);
    try {
      openIdentity(keys.directory, "users");
    } finally {
      process.umask(umask);
    }
    expect([modeOf(keys.directory), modeOf(join(keys.directory, "users.key"))]).toEqual(["700", "600"]);
    chmodSync(keys.directory, 0o755);
    openIdentity(keys.directory, "users");
    expect(modeOf(keys.directory)).toBe("700");
  });

  test.runIf(hasModes)("is refused when others can read or write it", () => {
    using keys = makeKeys();
    openIdentity(keys.directory, "users");
    for (const mode of [0o604, 0o644, 0o666]) {
      chmodSync(join(keys.directory, "users.key"), mode);
      expect(() => openIdentity(keys.directory, "users")).toThrow(
        expect.objectContaining({ code: "failed_precondition" }),
      );
    }
    chmodSync(join(keys.directory, "users.key"), 0o400);
    expect(() => openIdentity(keys.directory, "users")).not.toThrow();
  });

  test("is not replaced when it is damaged", () => {
    using keys = makeKeys();
    openIdentity(keys.directory, "users");
    const file = join(keys.directory, "users.key");
    writeFileSync(file, "damaged");
    expect(() => openIdentity(keys.directory, "users")).toThrow();
    expect(readFileSync(file, "utf8")).toBe("damaged");
  });

  test("is listed again when the trust file was lost, and is not when it was revoked", () => {
    using keys = makeKeys();
    const users = openIdentity(keys.directory, "users");
    const file = join(keys.directory, "trusted-keys");
    const listed = readFileSync(file, "utf8");
    rmSync(file);
    expect(users.publicKeysOf("users")).toEqual([]);
    openIdentity(keys.directory, "users");
    expect(readFileSync(file, "utf8")).toBe(listed);
    expect(users.publicKeysOf("users").map((key) => key.asymmetricKeyType)).toEqual(["ed25519"]);
    appendFileSync(file, listed.replace("trust", "revoke"));
    const revoked = expect.objectContaining({ code: "failed_precondition", reason: "key_revoked" });
    expect(() => openIdentity(keys.directory, "users")).toThrow(revoked);
    expect(users.publicKeysOf("users")).toEqual([]);
  });

  test("is the next one when it was replaced, without a restart", () => {
    using keys = makeKeys();
    const [users, orders] = ["users", "orders"].map((name) => openIdentity(keys.directory, name)) as [
      Identity,
      Identity,
    ];
    const self = (identity: Identity) => ({ identity, instance: "instance-0000000", clock: systemClock });
    const before = sayHello(self(orders), "users").header;
    rotateKey(keys.directory, "orders");
    const after = sayHello(self(orders), "users").header;
    const guard = makeHelloGuard(self(users));
    const [first, second] = [guard.accept(before).key, guard.accept(after).key];
    expect(first.equals(second)).toBe(false);
    expect(users.publicKeysOf("orders").map((key) => key.equals(second))).toEqual([false, true]);
  });
});

test("a service that makes its key later is known to one that runs already", () => {
  using keys = makeKeys();
  const users = openIdentity(keys.directory, "users");
  expect(users.publicKeysOf("orders")).toEqual([]);
  const orders = openIdentity(keys.directory, "orders");
  const self = (identity: typeof users) => ({ identity, instance: "instance-0000000", clock: systemClock });
  const { header } = sayHello(self(orders), "users");
  expect(makeHelloGuard(self(users)).accept(header).peer.name).toBe("orders");
});

test("processes that make the same keys at once agree on them", async () => {
  using keys = makeKeys();
  const names = Array.from({ length: 40 }, (_, index) => `service-${index}`);
  const program = `
    import { openIdentity } from ${JSON.stringify(new URL("./identity.ts", import.meta.url).href)};
    import { createPublicKey } from "node:crypto";
    // They all wait for one instant, so that their attempts overlap.
    while (Date.now() < ${Date.now() + 800});
    for (const name of ${JSON.stringify(names)}) {
      const { privateKey } = openIdentity(${JSON.stringify(keys.directory)}, name);
      console.log(createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("hex"));
    }
  `;
  const children = Array.from({ length: 4 }, () => spawnChild(program));
  expect(await Promise.all(children.map((child) => child.ended()))).toEqual([0, 0, 0, 0]);
  const made = new Set(children.map((child) => child.output()));
  expect(made.size).toBe(1);
  expect(new Set([...made][0]?.trim().split("\n")).size).toBe(names.length);
  expect(readdirSync(keys.directory).sort()).toEqual([...names.map((name) => `${name}.key`), "trusted-keys"].sort());
  for (const name of names) expect(trustedKeys(readTrust(keys.directory), name)).toHaveLength(1);
  for (const child of children) await child[Symbol.asyncDispose]();
});
