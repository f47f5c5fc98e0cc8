import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answer, answerJson, answerUnserved, listen, pathOf } from "./http.ts";

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
  const http = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    const path = pathOf(request);
    if (request.method !== "GET") answerUnserved(response, true);
    else if (path === "/metrics") {
      options.metrics().then(
        (text) => answer(response, text, { status: 200, type: options.metricsType }),
        () => answerJson(response, 500, { code: "internal", message: "The metrics cannot be read" }),
      );
    } else if (path === "/readyz") {
      const all = Object.entries(options.checks());
      const checks = Object.fromEntries(all.map(([name, check]) => [name, check === true]));
      const reasons = Object.fromEntries(all.filter(([, check]) => typeof check === "string"));
      const isReady = Object.values(checks).every(Boolean);
      const status = isReady ? "ready" : "not ready";
      answerJson(response, isReady ? 200 : 503, {
        status,
        checks,
        ...(Object.keys(reasons).length > 0 && { reasons }),
      });
    } else if (path === "/healthz") answerJson(response, 200, { status: "ok", ...options.about?.() });
    else answerUnserved(response, false);
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
