import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cli, launcher, makeCli } from "../cli-harness.ts";
import { type Processes, startProcesses } from "../process-harness.ts";

/** Only there can a program be given a terminal, by Python's standard library. */
const hasTerminals = process.platform !== "win32" && spawnSync("python3", ["-c", "import fcntl, termios"]).status === 0;

/** What happens at the terminal: it shows `shows`, then the person types `types`. */
interface Step {
  readonly shows: string | RegExp;
  readonly types: string;
}

interface Seen {
  readonly code: number | null;
  /** Everything that the terminal was sent. */
  readonly screen: string;
}

/** Longer than anything here takes. Milliseconds. */
const hangMs = 60_000;

describe.skipIf(!hasTerminals)("at a terminal", () => {
  let shop: Processes;
  let cli: Cli;

  beforeAll(async () => {
    shop = await startProcesses();
    cli = makeCli({ FLOTILLA_GATEWAY_URL: shop.urls.gateway, TERM: "xterm-256color" });
  });

  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
    cli[Symbol.dispose]();
  });

  function see(args: readonly string[], steps: readonly Step[], env: Record<string, string> = {}): Promise<Seen> {
    const terminal = fileURLToPath(new URL("terminal.py", import.meta.url));
    const child = spawn("python3", [terminal, process.execPath, launcher, ...args], { env: { ...cli.env, ...env } });
    const hang = setTimeout(() => child.kill("SIGKILL"), hangMs);
    let screen = "";
    let seen = 0;
    const left = [...steps];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      screen += text;
      const [step] = left;
      const fresh = screen.slice(seen);
      if (!step || !(typeof step.shows === "string" ? fresh.includes(step.shows) : step.shows.test(fresh))) return;
      left.shift();
      seen = screen.length;
      child.stdin.write(step.types);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (screen += text));
    child.stdin.on("error", () => undefined);
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        clearTimeout(hang);
        if (left.length > 0) reject(new Error(`It never showed ${left[0]?.shows}, but:\n${screen}`));
        else resolve({ code, screen });
      });
    });
  }

  test("a password is asked for, is not shown, and can be corrected", async () => {
    const { code, screen } = await see(
      ["login"],
      [
        { shows: "Username: ", types: "alice\r" },
        { shows: "Password of alice: ", types: "passwork\x7fd\r" },
      ],
    );
    expect(code).toBe(0);
    expect(screen).toMatch(/✓.* Logged in as alice \(admin\)/);
    expect(screen).not.toMatch(/passwor[kd]/);
    expect(JSON.parse(readFileSync(join(cli.home, "config", "flotilla", "default.json"), "utf8")).login.username).toBe(
      "alice",
    );
  });

  test("Ctrl+C at a question ends with 130, and the terminal shows again what is typed", async () => {
    const [secret, line] = await Promise.all([
      see(["login", "bob", "--profile", "b"], [{ shows: "Password of bob: ", types: "half\x03" }]),
      see(["users", "delete", "user3"], [{ shows: "Delete user3 for good? [y/N] ", types: "\x03" }]),
    ]);
    expect([secret.code, line.code]).toEqual([130, 130]);
    expect(secret.screen).not.toContain("half");
    for (const { screen } of [secret, line]) expect(screen).toMatch(/echo is on\r?\n$/);
  });

  test("Ctrl+C ends a command that reads its input from the terminal", async () => {
    const elsewhere = ["--gateway", "http://shop.example"];
    const steps = [{ shows: "is not encrypted", types: "\x03" }];
    expect((await see(["login", "bob", "--password-stdin", ...elsewhere], steps)).code).toBe(130);
  });

  test("what takes something away is asked about; anything but yes is no", async () => {
    const ask = (types: string) => see(["users", "disable", "user99"], [{ shows: "[y/N] ", types }]);
    const [no, enter, yes] = await Promise.all([ask("n\r"), ask("\r"), ask("y\r")]);
    expect([no.code, enter.code, yes.code]).toEqual([5, 5, 4]);
    expect(no.screen).toContain("Nothing was done");
    expect(yes.screen).toContain("User not found");
    const shows = "Take order.create, profile.edit away from the role user? [y/N] ";
    const role = await see(["roles", "set-permissions", "user", "order.view"], [{ shows, types: "n\r" }]);
    expect(role.code).toBe(5);
  });

  test("there is colour, unless somebody wants none", async () => {
    const [plain, ...without] = await Promise.all([
      see(["status"], []),
      see(["status", "--no-color"], []),
      see(["status"], [], { NO_COLOR: "1" }),
      see(["status"], [], { TERM: "dumb" }),
      see(["--help", "--no-color"], []),
    ]);
    expect(plain?.screen).toContain("\x1b[32m✓ ready\x1b[39m");
    for (const { screen } of without) expect(screen).not.toContain("\x1b[");
  });

  test("a session completes methods, asks for passwords unheard, and goes on", async () => {
    const { code, screen } = await see(
      ["repl"],
      [
        { shows: "flotilla> ", types: "const me = await account()\r" },
        { shows: /flotilla> .*$/, types: "me.adm" },
        { shows: "adm", types: "\t" },
        { shows: "inistration", types: "\r" },
        { shows: "administration()", types: 'await login("bob")\r' },
        { shows: "Password: ", types: "password\r" },
        { shows: "userId: ", types: "await (await account()).cancelOrder('order9')\r" },
        { shows: "Uncaught permission_denied: You don't have permission to cancel orders", types: ".exit\r" },
      ],
    );
    expect(code).toBe(0);
    expect(screen).not.toMatch(/: password/);
  });
});
