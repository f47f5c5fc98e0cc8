import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../base/clock.ts";
import { edgeLimits, intakeCosts } from "../base/limits.ts";
import { answer, answerJson, answerUnserved, listen, pathOf } from "./http.ts";
import { makeListener } from "./listener.ts";
import { makeProxies } from "./proxies.ts";

/** What `serveOps` takes. */
export interface OpsOptions {
  /** Loopback by default: this is for those who run the service, not for those who call it. */
  readonly host?: string;
  readonly port: number;
  /** Each part of readiness by its name: whether it is ready, or in place of false why not. */
  checks(): Readonly<Record<string, boolean | string>>;
  /** What `/healthz` says beside that it answers: version, commit, uptime. */
  about?(): Readonly<Record<string, unknown>>;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** Its content type. */
  readonly metricsType: string;
}

/** A listener for operators. */
export interface OpsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves what operators ask, on a listener of its own: `/metrics`, and `/readyz` in detail.
 * @throws FlotillaError `unavailable`, reason `port_in_use`, when the port is taken.
 */
export async function serveOps(options: OpsOptions): Promise<OpsServer> {
  const { host = "127.0.0.1" } = options;
  const { http } = makeListener({
    receiveMsMax: 5_000,
    limits: edgeLimits,
    clock: systemClock,
    proxies: makeProxies(),
    onRequest(request, response, intake) {
      const path = pathOf(request);
      if (request.method !== "GET") answerUnserved(response, true);
      else if (path === "/metrics") {
        intake.spend(intakeCosts.metrics);
        options.metrics().then(
          (text) => answer(response, text, { status: 200, type: options.metricsType }),
          () => answerJson(response, 500, { code: "internal", message: "The metrics cannot be read" }),
        );
      } else if (path === "/readyz") answerReadiness(response, options.checks());
      else if (path === "/healthz") answerJson(response, 200, { status: "ok", ...options.about?.() });
      else answerUnserved(response, false);
    },
  });
  await listen(http, options.port, host);
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

function answerReadiness(response: ServerResponse, given: ReturnType<OpsOptions["checks"]>): void {
  const all = Object.entries(given);
  const checks = Object.fromEntries(all.map(([name, check]) => [name, check === true]));
  const reasons = Object.fromEntries(all.filter(([, check]) => typeof check === "string"));
  const isReady = Object.values(checks).every(Boolean);
  const status = isReady ? "ready" : "not ready";
  const why = Object.keys(reasons).length > 0 && { reasons };
  answerJson(response, isReady ? 200 : 503, { status, checks, ...why });
}
