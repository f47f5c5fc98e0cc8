import { expect, onTestFinished, test } from "vitest";
import { ask } from "../testing/http.ts";
import { serveOps } from "./ops.ts";

const get = (url: string) => ask(url, { method: "GET" });

test("operators see metrics, and readiness part by part, on a listener of their own", async () => {
  const checks = { store: true, users: false };
  const ops = await serveOps({
    port: 0,
    checks: () => checks,
    metrics: async () => "flotilla_up 1\n",
    metricsType: "text/plain",
  });
  onTestFinished(() => ops.close());
  expect(await get(`${ops.url}/metrics`)).toMatchObject({ status: 200, text: "flotilla_up 1\n" });
  expect(await get(`${ops.url}/readyz`)).toMatchObject({
    status: 503,
    text: '{"status":"not ready","checks":{"store":true,"users":false}}\n',
  });
  checks.users = true;
  expect((await get(`${ops.url}/readyz`)).status).toBe(200);
  expect((await get(`${ops.url}/rpc`)).status).toBe(404);
  expect((await ask(`${ops.url}/metrics`)).status).toBe(405);
});

test("operators see why a part is not ready, where that is known", async () => {
  const checks = { users: "users cannot be reached: its certificate has expired", orders: false, store: true };
  const metrics = async () => "";
  const ops = await serveOps({ port: 0, checks: () => checks, metrics, metricsType: "text/plain" });
  onTestFinished(() => ops.close());
  const { status, text } = await get(`${ops.url}/readyz`);
  expect([status, JSON.parse(text)]).toEqual([
    503,
    {
      status: "not ready",
      checks: { users: false, orders: false, store: true },
      reasons: { users: "users cannot be reached: its certificate has expired" },
    },
  ]);
});

test("metrics that cannot be read are an error with a code, and no more", async () => {
  const metrics = () => Promise.reject(new Error("secret"));
  const ops = await serveOps({ port: 0, checks: () => ({}), metrics, metricsType: "text/plain" });
  onTestFinished(() => ops.close());
  expect(await get(`${ops.url}/metrics`)).toMatchObject({
    status: 500,
    text: '{"code":"internal","message":"The metrics cannot be read"}\n',
  });
});
