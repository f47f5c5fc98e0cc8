import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium } from "playwright-core";

const executablePath = "/usr/bin/chromium";

/** Why no page can be opened here, if so. In CI that is a failure: .ci/run installs what is needed. */
export function whyNoChromium(): string | undefined {
  if (existsSync(executablePath)) return undefined;
  const why = `there is no ${executablePath} (Debian's package chromium)`;
  if (process.env.CI) throw new Error(`CI opens pages, but ${why}`);
  return why;
}

/** Without a sandbox, for CI is root; and with nothing that would look for hosts outside. */
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, headless: true, args: flags });
}

export interface Site extends AsyncDisposable {
  /** As browsers send it. */
  readonly origin: string;
}

/** Serves `files` by their paths, `/` among them, at an origin of its own. */
export async function startSite(files: Readonly<Record<string, string>>): Promise<Site> {
  const server = createServer((request, response) => {
    const text = files[request.url ?? ""];
    const type = request.url === "/" ? "text/html" : "text/javascript";
    response.writeHead(text === undefined ? 404 : 200, { "content-type": type }).end(text ?? "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
