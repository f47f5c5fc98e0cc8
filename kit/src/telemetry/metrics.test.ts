import { expect, test } from "vitest";
import { makeMetrics } from "./metrics.ts";

test("says what is watched at the moment of asking, with the service's name", async () => {
  const metrics = makeMetrics("orders");
  let sessions = 1;
  metrics.watch("sessions", "Open sessions", () => sessions);
  metrics.watch("tables", "Entries", () => ({ imports: 2, exports: sessions }));
  sessions = 7;
  const text = await metrics.text();
  expect(text).toContain('flotilla_sessions{service="orders"} 7');
  expect(text).toContain('flotilla_tables{of="exports",service="orders"} 7');
  expect(text).toContain("flotilla_nodejs_eventloop_lag_seconds");
});

test("counts refusals by code and reason, and makes no endless labels", async () => {
  const metrics = makeMetrics("orders");
  metrics.refused("resource_exhausted", "protocol_limit");
  metrics.refused("resource_exhausted", "protocol_limit");
  for (let i = 0; i < 1_000; i += 1) metrics.refused("invalid_argument", `made_up_${i}`);
  const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("flotilla_refused_total"));
  expect(lines).toContain(
    'flotilla_refused_total{code="resource_exhausted",reason="protocol_limit",service="orders"} 2',
  );
  expect(lines.length).toBeLessThan(100);
});
