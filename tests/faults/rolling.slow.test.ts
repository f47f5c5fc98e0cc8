import { expect, test } from "vitest";
import { serviceNames } from "../../shop/topology.ts";
import { whyNoPostgres } from "../postgres.ts";
import { rollUnderLoad } from "./rolling.ts";

test.skipIf(whyNoPostgres)(
  "every instance of two of each service is restarted under load, and no order fails, is lost or doubled",
  { timeout: 180_000 },
  async () => {
    const report = await rollUnderLoad({ rounds: 1, customers: 4, pauseMs: 200 });
    expect([...report.failed]).toEqual([]);
    expect(report.violations).toEqual([]);
    expect(report.restarts).toHaveLength(serviceNames.length * 2);
    expect(report.acknowledged).toBeGreaterThan(report.restarts.length * 16);
  },
);
