import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openIdentity } from "./identity.ts";
import { listKeys } from "./keys.ts";
import { carryRevocations } from "./revocations.ts";
import { isRevoked, readTrust, trustFileName } from "./trust.ts";

test("a trust file that is damaged, or has a comment in another encoding, still tells which keys it revokes", () => {
  using from = mkdtempDisposableSync(join(tmpdir(), "flotilla-revoked-"));
  using to = mkdtempDisposableSync(join(tmpdir(), "flotilla-restored-"));
  openIdentity(to.path, "orders");
  const [{ key = "" } = {}] = listKeys(to.path);
  const lines = `trust orders ${key} f\xfcr heute\nhalf a line\nrevoke orders ${key} gestohlen, M\xe4rz\n`;
  writeFileSync(join(from.path, trustFileName), Buffer.from(lines, "latin1"), { mode: 0o644 });
  expect(carryRevocations([from.path], to.path)).toEqual({ revoked: [{ name: "orders", key }], renewed: ["orders"] });
  expect(isRevoked(readTrust(to.path), key)).toBe(true);
  expect(readFileSync(join(to.path, trustFileName), "utf8")).not.toContain("\uFFFD");
});
