import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { batchClient, patient } from "../gateway-clients.ts";
import { startProcesses } from "../process-harness.ts";

const operations = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
const [, variable = "", example = ""] = /^(\w+)=(\S+) npm run gateway$/m.exec(operations) ?? [];

test("with the setting of the documentation, each client behind the proxy has limits of its own, and only one", async () => {
  expect(example).toBe("10.0.0.0/8");
  // One log-in of the default cost, and no second.
  const env = { [variable]: "127.0.0.0/8", FLOTILLA_RATE_NETWORK: "150" };
  await using shop = await startProcesses({ env });
  const loginFrom = (forwarded: string) =>
    patient(batchClient(shop.urls.gateway, { connection: "close", "x-forwarded-for": forwarded })).login(
      "bob",
      "password",
    );
  const refused = { code: "resource_exhausted", reason: "rate_limited" };
  expect((await loginFrom("198.51.100.1")).username).toBe("bob");
  await expect(loginFrom("198.51.100.1")).rejects.toMatchObject(refused);
  await expect(loginFrom("203.0.113.7, 198.51.100.1")).rejects.toMatchObject(refused);
  expect((await loginFrom("198.51.100.2")).username).toBe("bob");
});
