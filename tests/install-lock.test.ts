import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { killGroup, type Program, runProgram } from "./run-program.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const module = new URL("../scripts/install-lock.js", import.meta.url);
const lock = () => join(directory, "lock");
const log = () => join(directory, "log");
const locks = () => readdirSync(directory).filter((name) => name.startsWith("lock"));

interface Wish {
  /** Done by the process while it has the lock. */
  readonly work?: string;
  readonly isNeeded?: string;
  /** The command that starts Node. */
  readonly wrapper?: readonly string[];
}

/** A process that takes the lock, says so, does `work`, and releases it. */
function takeAndDo({ work = "", isNeeded = "true", wrapper = [] }: Wish = {}): Program {
  const program = `
    import { appendFileSync, existsSync } from "node:fs";
    import { setTimeout as delay } from "node:timers/promises";
    import { takeLock } from ${JSON.stringify(module.href)};
    const say = (text) => {
      appendFileSync(${JSON.stringify(log())}, text + " " + process.pid + "\\n");
      console.log(text);
    };
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
  const its = runProgram([...wrapper, process.execPath, "--input-type=module", "-e", program], {});
  onTestFinished(() => killGroup(its));
  return its;
}

const ended = (...programs: readonly Program[]) => Promise.all(programs.map((program) => program.ended));
const threeDo = (work: string) => ended(...[1, 2, 3].map(() => takeAndDo({ work })));
const aMoment = "await delay(30);";

/** Work that ends when the test says so. */
function untilLet(name: string): { readonly work: string; go(): void } {
  const file = join(directory, name);
  return {
    work: `while (!existsSync(${JSON.stringify(file)})) await delay(10);`,
    go: () => writeFileSync(file, ""),
  };
}

/** Whether each that went in went out before the next. */
function expectOneAtATime(count: number): void {
  const lines = readFileSync(log(), "utf8").trim().split("\n");
  expect(lines).toHaveLength(2 * count);
  for (let i = 0; i < lines.length; i += 2) expect(lines[i + 1]).toBe(lines[i]!.replace("in", "out"));
  expect(locks()).toEqual([]);
}

test("one at a time has the lock, and the others wait for it", async () => {
  const { work, go } = untilLet("go");
  const first = takeAndDo({ work });
  await first.says(/in\n/);
  const others = [takeAndDo(), takeAndDo()];
  for (const other of others) await other.says(RegExp(`waiting for ${first.child.pid}\n`));
  go();
  await ended(first, ...others);
  expectOneAtATime(3);
});

test("of several that ask at once each has it once", async () => {
  await threeDo(aMoment);
  expectOneAtATime(3);
});

test("the lock of a process that died does not hold, and one of those that find it has it next", async () => {
  await takeAndDo({ work: "process.kill(process.pid, 'SIGKILL');" }).ended;
  expect(locks()).toHaveLength(1);
  writeFileSync(log(), "");
  await threeDo(aMoment);
  expectOneAtATime(3);
});

test.skipIf(process.platform === "win32")(
  "a process that has the number of a dead one does not hold its lock",
  async () => {
    writeFileSync(`${lock()}-${process.pid}-1`, "");
    await takeAndDo().ended;
    expectOneAtATime(1);
  },
);

test("a process whose lock was taken from it does not release the lock of the next one", async () => {
  const [one, two] = [untilLet("one"), untilLet("two")];
  const first = takeAndDo({ work: one.work });
  await first.says(/in\n/);
  for (const name of locks()) rmSync(join(directory, name));
  const second = takeAndDo({ work: two.work });
  await second.says(/in\n/);
  one.go();
  await first.ended;
  const third = takeAndDo();
  await third.says(RegExp(`waiting for ${second.child.pid}\n`));
  two.go();
  await ended(second, third);
  expect(third.output()).toContain("in\nout\n");
});

/** Starts a program as a user who sees no process of others. */
const asStranger = [
  ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
  'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"',
  "sh",
];
const [starter = "", ...itsArguments] = [...asStranger, process.execPath, "--check", fileURLToPath(module)];
const canBeStranger = spawnSync(starter, itsArguments).status === 0;

// Needs Linux and root, and a repository that all can read.
test.skipIf(!canBeStranger)("a process that may not be signalled, nor looked at, holds its lock", async () => {
  const { work, go } = untilLet("go");
  chmodSync(directory, 0o777);
  const first = takeAndDo({ work });
  await first.says(/in\n/);
  chmodSync(log(), 0o666);
  const stranger = takeAndDo({ wrapper: asStranger });
  await stranger.says(RegExp(`waiting for ${first.child.pid}\n`));
  go();
  await ended(first, stranger);
  expectOneAtATime(2);
});

test("a process that needs the lock no longer stops waiting", async () => {
  const done = JSON.stringify(join(directory, "done"));
  const { work, go } = untilLet("go");
  const first = takeAndDo({ work: `${work} (await import("node:fs")).writeFileSync(${done}, "");` });
  await first.says(/in\n/);
  const others = [1, 2].map(() => takeAndDo({ isNeeded: `!existsSync(${done})` }));
  for (const other of others) await other.says(/waiting/);
  go();
  await ended(first, ...others);
  expectOneAtATime(1);
  for (const { output } of others) expect(output()).toContain("not needed");
});
