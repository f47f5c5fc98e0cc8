import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const lock = () => join(directory, "lock");
const log = () => join(directory, "log");

/** A process that takes the lock, says so in the log, does `work`, and releases it. */
async function takeAndDo(work: string, isNeeded = "true"): Promise<string> {
  const program = `
    import { appendFileSync, existsSync } from "node:fs";
    import { takeLock } from ${JSON.stringify(new URL("../scripts/install-lock.js", import.meta.url).href)};
    const say = (text) => appendFileSync(${JSON.stringify(log())}, text + " " + process.pid + "\\n");
    const release = await takeLock(${JSON.stringify(lock())}, {
      waiting: (pid) => console.log("waiting for", pid),
      isNeeded: () => ${isNeeded},
    });
    if (release) {
      say("in");
      ${work}
      say("out");
      release();
    } else console.log("not needed");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  await once(child, "close");
  return output;
}

const aMoment = "await new Promise((done) => setTimeout(done, 30));";

/** Whether each that went in went out before the next. */
function expectOneAtATime(count: number): void {
  const lines = readFileSync(log(), "utf8").trim().split("\n");
  expect(lines).toHaveLength(2 * count);
  for (let i = 0; i < lines.length; i += 2) expect(lines[i + 1]).toBe(lines[i]!.replace("in", "out"));
}

test("one at a time has the lock, and the others wait for it", async () => {
  const said = await Promise.all([1, 2, 3].map(() => takeAndDo(aMoment)));
  expectOneAtATime(3);
  expect(said.join("")).toMatch(/waiting for \d+\n/);
});

test("the lock of a process that died does not hold, and one of those that find it has it next", async () => {
  await takeAndDo("process.kill(process.pid, 'SIGKILL');");
  expect(readFileSync(lock(), "utf8")).toMatch(/^\d+ ./);
  writeFileSync(log(), "");
  await Promise.all([1, 2, 3].map(() => takeAndDo(aMoment)));
  expectOneAtATime(3);
});

test.skipIf(process.platform === "win32")(
  "a process that has the number of a dead one does not hold its lock",
  async () => {
    writeFileSync(lock(), `${process.pid} a start of long ago`);
    await takeAndDo("");
    expectOneAtATime(1);
  },
);

test("who needs it no longer stops waiting", async () => {
  const done = join(directory, "done");
  const work = `${aMoment} (await import("node:fs")).writeFileSync(${JSON.stringify(done)}, "");`;
  const isNeeded = `!existsSync(${JSON.stringify(done)})`;
  const said = await Promise.all([1, 2, 3].map(() => takeAndDo(work, isNeeded)));
  expectOneAtATime(1);
  expect(said.join("").match(/not needed/g)).toHaveLength(2);
});
