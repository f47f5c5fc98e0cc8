import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { canLosePackets, type LossReport } from "./loss.ts";

const why = canLosePackets() ? "" : " (needs Linux, root, and tc with BPF)";

test.skipIf(why)(`a network that loses packets loses no order, and doubles none${why}`, async () => {
  const program = fileURLToPath(new URL("loss.ts", import.meta.url));
  const { stdout } = await promisify(execFile)("unshare", ["--net", process.execPath, program]);
  const { stages, violations } = JSON.parse(stdout) as LossReport;
  expect(violations).toEqual([]);
  expect(stages.map(({ lost }) => lost)).toEqual([1, 10, 30]);
  expect(stages[0]!.failed).toBeLessThanOrEqual(stages[0]!.placed / 1_000);
});
