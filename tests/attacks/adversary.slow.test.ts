import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startProcesses } from "../process-harness.ts";

const script = fileURLToPath(new URL("adversary.ts", import.meta.url));
const run = promisify(execFile);

test("an adversary with nothing but Node and the public ports finds nothing in 10 s", { timeout: 60_000 }, async () => {
  await using shop = await startProcesses();
  const urls = Object.entries(shop.urls).flatMap(([name, url]) => [`--${name}`, url]);
  const { stdout } = await run(process.execPath, [script, "--seconds", "10", ...urls]).catch(
    (failed: { stdout: string; stderr: string }) => ({ stdout: `${failed.stdout}${failed.stderr}` }),
  );
  expect(stdout.trim().split("\n").at(-1), stdout).toBe("Nothing found");
  for (const line of stdout.split("\n").filter((it) => it.endsWith("nothing found")))
    expect(line).not.toContain(": 0 times");
});

test("the adversary finds a port that is not there", async () => {
  const nobody = ["--gateway", "http://127.0.0.1:1", "--users", "http://127.0.0.1:1", "--orders", "http://127.0.0.1:1"];
  await expect(run(process.execPath, [script, "--seconds", "5", ...nobody])).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringContaining("FOUND"),
  });
});
