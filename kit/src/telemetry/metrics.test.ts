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

test("tells of each method how often, how long and with what outcome it was called", async () => {
  const metrics = makeMetrics("orders");
  const call = { contract: "Orders", method: "createOrder" };
  metrics.answered({ ...call, ms: 0.4, code: undefined });
  metrics.answered({ ...call, ms: 7, code: undefined });
  metrics.answered({ ...call, ms: 20_000, code: "deadline_exceeded" });
  const lines = (await metrics.text()).split("\n");
  const labels = 'contract="Orders",method="createOrder",service="orders"';
  expect(lines).toContain(`flotilla_calls_total{${labels},code="ok"} 2`);
  expect(lines).toContain(`flotilla_calls_total{${labels},code="deadline_exceeded"} 1`);
  expect(lines).toContain(`flotilla_call_seconds_bucket{${labels},le="0.001"} 1`);
  expect(lines).toContain(`flotilla_call_seconds_bucket{${labels},le="0.01"} 2`);
  expect(lines).toContain(`flotilla_call_seconds_bucket{${labels},le="10"} 2`);
  expect(lines).toContain(`flotilla_call_seconds_bucket{${labels},le="+Inf"} 3`);
  expect(lines).toContain(`flotilla_call_seconds_count{${labels}} 3`);
  expect(lines.filter((line) => line.startsWith("# TYPE flotilla_call_seconds "))).toHaveLength(1);
});

test("what only grows is a counter", async () => {
  const metrics = makeMetrics("orders");
  let shed = 3;
  metrics.watch("shed_total", "Refused calls", () => shed);
  expect(await metrics.text()).toContain('flotilla_shed_total{service="orders"} 3');
  shed = 5;
  const text = await metrics.text();
  expect(text).toContain('flotilla_shed_total{service="orders"} 5');
  expect(text).toContain("# TYPE flotilla_shed_total counter");
});
