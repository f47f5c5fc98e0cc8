import { expect, test } from "vitest";
import { eachService, topology } from "../topology.ts";
import { makeScreen } from "./screen.ts";

function screenOn({ isTTY = false, env = {} }: { isTTY?: boolean; env?: Record<string, string> }) {
  const written = { out: "", err: "" };
  const output = (name: "out" | "err") => ({ isTTY, write: (text: string) => (written[name] += text) });
  return { written, screen: makeScreen({ out: output("out"), err: output("err"), env }) };
}

const json = '{"level":30,"msg":"hello","service":"orders"}';
const crash = { type: "crashed", service: "orders", how: "killed by SIGKILL", lastLines: ["boom"] } as const;

test("in a pipe a JSON line stays as it is and any other is told by its prefix", () => {
  const { written, screen } = screenOn({});
  screen.show({ type: "line", service: "orders", line: json });
  screen.show({ type: "line", service: "orders", line: "a warning" });
  expect(written).toEqual({ out: "", err: `${json}\n[orders] a warning\n` });
});

test("on a terminal a JSON line is made readable, without colour when NO_COLOR is set", () => {
  const { written, screen } = screenOn({ isTTY: true, env: { NO_COLOR: "1" } });
  screen.show({ type: "line", service: "orders", line: json });
  expect(written.err).toBe("[orders] info hello\n");
});

test("a terminal gets colour", () => {
  const { written, screen } = screenOn({ isTTY: true });
  screen.showError("no");
  expect(written.err).toContain("\u001b[31m");
});

test("a crash names the service, what ended it, its last words and when it is back; a loop is called one", () => {
  const { written, screen } = screenOn({});
  screen.show({ ...crash, crashes: 1, restartInMs: 80 });
  screen.show({ ...crash, crashes: 4, restartInMs: 700 });
  expect(written.err).toBe(
    "✗ orders    crashed   (killed by SIGKILL); restarting in 80 ms\n    boom\n" +
      "✗ orders    crashed   (killed by SIGKILL, 4 times in a row); restarting in 700 ms\n    boom\n",
  );
});

test("who was stopped by somebody else has not crashed", () => {
  const { written, screen } = screenOn({});
  screen.show({ type: "ended", service: "orders", how: "exit code 0", restartInMs: 80 });
  expect(written).toEqual({ out: "! orders    ended     (exit code 0); restarting in 80 ms\n", err: "" });
});

test("processes are told apart by their numbers", () => {
  const { written, screen } = screenOn({});
  screen.show({ type: "ready", service: "gateway.2", url: "http://127.0.0.1:8090", afterMs: 400 });
  screen.show({ ...crash, service: "orders.1", crashes: 1, restartInMs: 80 });
  expect(written.out).toBe("✓ gateway.2 ready     http://127.0.0.1:8090  (0.40 s)\n");
  expect(written.err).toContain("✗ orders.1  crashed   (killed by SIGKILL)");
});

const ports = eachService((name) => topology[name].port);
const placement = { mode: "development", host: "127.0.0.1", ports, dataDir: "/data" } as const;
const here = (port: number) => `http://127.0.0.1:${port}`;

test("with the gateway at its default address the demo needs no setting", () => {
  const { written, screen } = screenOn({});
  screen.showReady({ urls: eachService((name) => [here(ports[name])]) }, placement, 1_234);
  expect(written.out).toContain("Flotilla is ready (development, 1.23 s)\n");
  expect(written.out).toContain("\nTry: npm run demo\nPress Ctrl+C to stop\n");
});

test("of several instances every address is shown, under one title", () => {
  const { written, screen } = screenOn({});
  screen.showReady({ urls: eachService((name) => [here(ports[name]), here(ports[name] + 10)]) }, placement, 1_234);
  expect(written.out).toContain(
    "  API Gateway     http://127.0.0.1:8080/rpc/batch\n" +
      "                  ws://127.0.0.1:8080/rpc\n" +
      "                  http://127.0.0.1:8090/rpc/batch\n" +
      "                  ws://127.0.0.1:8090/rpc\n" +
      "  User Service    http://127.0.0.1:8081\n" +
      "                  http://127.0.0.1:8091\n" +
      "  Order Service   http://127.0.0.1:8082\n" +
      "                  http://127.0.0.1:8092\n",
  );
});
