import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { serviceNames, topology } from "../topology.ts";
import { readPlacement } from "./placement.ts";
import { readSettings } from "./settings.ts";
import { settingNames, settingProblems } from "./variables.ts";

test("a setting that does not exist is refused with the one it resembles", () => {
  expect(settingProblems({ FLOTILLA_MOD: "production" })).toEqual([
    "FLOTILLA_MOD: there is no such setting; did you mean FLOTILLA_MODE?",
  ]);
  const meant: Record<string, string> = {
    FLOTILLA_USER_PORT: "FLOTILLA_USERS_PORT",
    FLOTILLA_GATEWAY_PROT: "FLOTILLA_GATEWAY_PORT",
    FLOTILLA_LOGLEVEL: "FLOTILLA_LOG_LEVEL",
    FLOTILLA_ORIGIN: "FLOTILLA_ORIGINS",
    FLOTILLA_TRUSTED_PROXY: "FLOTILLA_TRUSTED_PROXIES",
    FLOTILLA_ORDERS_STORE_FLIE: "FLOTILLA_ORDERS_STORE_FILE",
  };
  for (const [wrong, right] of Object.entries(meant)) expect(settingProblems({ [wrong]: "1" })[0]).toContain(right);
  expect(settingProblems({ FLOTILLA_COLOUR_OF_SAILS: "red" })[0]).not.toContain("did you mean");
});

test("every one that does not exist is named, beside what else is wrong", () => {
  const read = () => readPlacement({ FLOTILLA_MOD: "production", FLOTILLA_DATAA: "/data", FLOTILLA_USERS_PORT: "x" });
  for (const name of ["FLOTILLA_MOD:", "FLOTILLA_DATAA:", "FLOTILLA_USERS_PORT:"]) expect(read).toThrow(name);
});

test("an empty one sets nothing, and variables of others are none of ours", () => {
  expect(settingProblems({ FLOTILLA_MOD: "", FLOTILLA_MODE: "production", MODE: "x", MY_FLOTILLA_X: "x" })).toEqual([]);
});

test("a value that was not UTF-8 is named, without a word of it, wherever a system is placed", () => {
  const read = () => readPlacement({ FLOTILLA_DATA: "/srv/z\uFFFDrich", OTHER: "\uFFFD" });
  expect(read).toThrow(/^FLOTILLA_DATA is not valid UTF-8$/);
});

test("the README lists every setting, and no other", () => {
  const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
  const table = readme.slice(readme.indexOf("## Settings"));
  const listed = new Set([...table.matchAll(/FLOTILLA_[A-Z_]+[A-Z]/g)].map(([name]) => name));
  expect([...listed].sort()).toEqual(settingNames.map((name) => `FLOTILLA_${name}`).sort());
});

/** All that Kubernetes (kubelet, pkg/kubelet/envvars) makes in a container for a Service with these ports. */
function variablesOfService(service: string, ports: readonly (readonly [name: string, port: number, proto: string])[]) {
  const prefix = service.toUpperCase().replaceAll("-", "_");
  const ip = "10.96.0.17";
  const [[, first, proto] = ["", 0, ""]] = ports;
  return {
    [`${prefix}_SERVICE_HOST`]: ip,
    [`${prefix}_SERVICE_PORT`]: String(first),
    [`${prefix}_PORT`]: `${proto.toLowerCase()}://${ip}:${first}`,
    ...Object.assign(
      {},
      ...ports.map(([name, port, proto]) => ({
        [`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll("-", "_")}`]: String(port),
        [`${prefix}_PORT_${port}_${proto}`]: `${proto.toLowerCase()}://${ip}:${port}`,
        [`${prefix}_PORT_${port}_${proto}_PROTO`]: proto.toLowerCase(),
        [`${prefix}_PORT_${port}_${proto}_PORT`]: String(port),
        [`${prefix}_PORT_${port}_${proto}_ADDR`]: ip,
      })),
    ),
  };
}

const namesOfServices = [
  ...["flotilla", "flotilla-gateway", "flotilla-users", "flotilla-orders", "flotilla-users-ops", "flotilla-postgres"],
  ...["flotilla-gateway-service-port", "flotilla-users-url", "flotilla-mode", "flotilla-2"],
];

test.each(namesOfServices)("what Kubernetes makes for a Service called %s counts as unset", (service) => {
  const made = variablesOfService(service, [
    ["http", 8080, "TCP"],
    ["ops-port", 9090, "TCP"],
    ["dns", 53, "UDP"],
    ["sip", 5060, "SCTP"],
  ]);
  expect(Object.keys(made)).toHaveLength(3 + 4 * 5);
  expect(readPlacement(made)).toEqual(readPlacement({}));
  for (const name of serviceNames) expect(readSettings(name, made)).toEqual(readSettings(name, {}));
});

test("a port that was set holds beside what Kubernetes makes for others", () => {
  const env = { ...variablesOfService("flotilla-users", [["http", 80, "TCP"]]), FLOTILLA_GATEWAY_PORT: "9000" };
  const { placement, places } = readSettings("gateway", env);
  expect(placement.ports.gateway).toBe(9_000);
  expect(places.users).toBe(`http://127.0.0.1:${topology.users.port}`);
});

test.each([
  "start.ts",
  "users/main.ts",
  "cli/flotilla.ts demo",
  "cli/keys.ts list",
  "cli/flotilla.ts backup nowhere",
  "cli/flotilla.ts restore nowhere",
  "cli/flotilla.ts status",
])("shop/%s does nothing with a setting that does not exist, and ends with 2", (command) => {
  const [file = "", ...args] = command.split(" ");
  const dataDir = join(tmpdir(), `flotilla-never-${process.pid}`);
  const env = { ...process.env, FLOTILLA_DATA: dataDir, FLOTILLA_USERS_PORT: "0", FLOTILLA_MOD: "production" };
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "..", file), ...args], {
    env,
    encoding: "utf8",
    timeout: 20_000,
  });
  expect(stderr).toContain("FLOTILLA_MOD: there is no such setting; did you mean FLOTILLA_MODE?");
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(status).toBe(2);
  expect(existsSync(dataDir)).toBe(false);
});
