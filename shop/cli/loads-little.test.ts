import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Loads each command with what it asks the gateway by, and prints the modules that came with them. */
const program = `
  import { registerHooks } from "node:module";
  const loaded = new Set();
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      loaded.add(found.url);
      return found;
    },
  });
  const { entries } = await import("./commands.ts");
  for (const entry of entries) await entry.load();
  for (const file of ["open-shop", "shop", "gateway-client", "run-cli"]) await import("./" + file + ".ts");
  console.log(JSON.stringify([...loaded]));
`;

test("commands load none of the packages that servers need, nor the kit's part for servers", async () => {
  const args = ["--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: here });
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.filter((url) => url.endsWith("/kit/src/rpc/session.ts"))).toHaveLength(1);
  const packages = loaded.filter((url) => /node_modules\/(ws|typebox|prom-client|kysely)\//.test(url));
  expect([...packages, ...loaded.filter((url) => url.endsWith("/kit/src/index.ts"))]).toEqual([]);
});
