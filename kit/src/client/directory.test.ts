import { expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import type { Directory } from "../discovery/directory.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { type Desk, makeDesk, type TestDesk, type Visitor } from "../testing/desk.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { connectAll, type Instances } from "./instances.ts";

/** A directory that says what the test says. */
function makeTold() {
  let tell: ((urls: readonly string[]) => void) | undefined;
  const directory: Directory = {
    watch(listener) {
      tell = listener;
      return () => {
        tell = undefined;
      };
    },
  };
  return { directory, isWatched: () => tell !== undefined, say: (...urls: string[]) => tell?.(urls) };
}

interface Place {
  readonly desk: TestDesk;
  readonly url: string;
  drain(): Promise<void>;
}

async function open(rig: Rig): Promise<Place> {
  const desk = makeDesk();
  const { url, drain } = await rig.serve({ main: desk.mainFor });
  return { desk, url, drain };
}

/** Connected to what a directory names, which is `first`. */
async function connectTo(first: Place, clock?: VirtualClock) {
  const { directory, say } = makeTold();
  const all = connectAll<Desk>({ name: "home", directory, ...(clock && { clock }) });
  const opened = all.opened();
  say(first.url);
  await opened;
  return { all, say, [Symbol.dispose]: () => all.close() };
}

const add = (all: Instances<Desk>) => all.call((main) => main.add(1, 2));
const addMany = (all: Instances<Desk>) => Promise.all(Array.from({ length: 20 }, () => add(all)));
const reportOf = (all: Instances<Desk>, { url }: Place) => all.report().find((it) => it.url === url);

test("calls wait until the directory has answered; who is named later is asked from when it is connected", async () => {
  await using rig = makeRig();
  const [a, b] = [await open(rig), await open(rig)];
  const { directory, say } = makeTold();
  using all = connectAll<Desk>({ name: "home", directory });
  const early = [add(all), all.opened()];
  expect(all.report()).toEqual([]);
  say(a.url);
  expect(await Promise.all(early)).toEqual([3, undefined]);
  say(a.url, b.url);
  // Nobody waits for the second, which is not there yet as far as anybody knows.
  await addMany(all);
  await until(() => all.openCount === 2, "the second is open");
  b.desk.calls.length = 0;
  await addMany(all);
  expect(b.desk.calls.length).toBeGreaterThan(0);
});

test("one that is not there is never asked, and one that comes at its address is", async () => {
  await using rig = makeRig();
  const [a, gone] = [await open(rig), await open(rig)];
  const { directory, say } = makeTold();
  using all = connectAll<Desk>({ name: "home", directory });
  await gone.drain();
  say(gone.url, a.url);
  await all.opened();
  await addMany(all);
  expect(reportOf(all, gone)).toMatchObject({ isOpen: false, underWay: 0, failures: 0 });
  const desk = makeDesk();
  await rig.serve({ main: desk.mainFor, port: Number(new URL(gone.url).port) });
  await until(() => all.openCount === 2, "it is connected");
  await addMany(all);
  expect(desk.calls.length).toBeGreaterThan(0);
});

test("one that is named no more gets no new calls, and is let go of when nothing is held there", async () => {
  await using rig = makeRig();
  const [a, b] = [await open(rig), await open(rig)];
  const clock = makeVirtualClock();
  using told = await connectTo(a, clock);
  const { all, say } = told;
  const { main } = all.pick();
  const ticket = await main.take(7);
  const hung = outcome(all.call((desk) => desk.hang()));
  await until(() => a.desk.calls.includes("hang"), "it hangs");
  say(b.url);
  await until(() => all.openCount === 1, "the other is open");
  expect(reportOf(all, a)).toMatchObject({ isOpen: true, isLeaving: true, underWay: 1 });
  a.desk.calls.length = 0;
  await addMany(all);
  expect(a.desk.calls).toEqual([]);

  await clock.advance(3_000);
  expect(await outcome(ticket.getNumber())).toBe(7);
  ticket[Symbol.dispose]();
  await clock.advance(3_000);
  a.desk.answerAll();
  expect(await hung).toBe("answered");
  await until(() => reportOf(all, a)?.underWay === 0, "nothing is under way");
  await clock.advance(1_000);
  expect(reportOf(all, a)).toBeUndefined();
  await until(() => a.desk.live() === 0, "its session is over");
  expect(reportOf(all, b)).toMatchObject({ isOpen: true, isLeaving: false });
});

test("one that was taken out and is named again is the same one, with what is held there", async () => {
  await using rig = makeRig();
  const [a, b] = [await open(rig), await open(rig)];
  using told = await connectTo(a);
  const { all, say } = told;
  const { main } = all.pick();
  const ticket = await main.take(7);
  say(b.url);
  say(b.url, a.url);
  expect(reportOf(all, a)).toMatchObject({ isOpen: true, isLeaving: false });
  expect(await outcome(ticket.getNumber())).toBe(7);
  ticket[Symbol.dispose]();
});

test("a directory that never answers is `unavailable`, and not for ever", async () => {
  const clock = makeVirtualClock();
  const { directory, isWatched } = makeTold();
  const all = connectAll<Desk>({ name: "home", directory, clock });
  const unknown = { code: "unavailable", reason: "directory_unknown" };
  await expect(clock.run(add(all))).rejects.toMatchObject(unknown);
  expect(clock.monotonicMs()).toBe(5_000);
  // Who comes later waits no more.
  await expect(all.opened()).rejects.toMatchObject(unknown);
  await expect(add(all)).rejects.toMatchObject(unknown);
  expect(clock.monotonicMs()).toBe(5_000);
  expect(() => all.pick()).toThrow(expect.objectContaining(unknown));
  all.close();
  expect(isWatched()).toBe(false);
});

test("a directory that answers late is heard all the same, and who waits is told when the connection is closed", async () => {
  await using rig = makeRig();
  const { url } = await open(rig);
  const clock = makeVirtualClock();
  const { directory, say } = makeTold();
  using all = connectAll<Desk>({ name: "home", directory, clock });
  await expect(clock.run(add(all))).rejects.toMatchObject({ reason: "directory_unknown" });
  say(url);
  expect(await add(all)).toBe(3);
  using closed = connectAll<Desk>({ name: "home", directory: makeTold().directory, clock });
  const waiting = add(closed);
  closed.close();
  await expect(waiting).rejects.toMatchObject({ code: "unavailable", message: "The connection to home was closed" });
});

test("one that is named no more is kept while it holds a capability of ours", async () => {
  await using rig = makeRig();
  const [a, b] = [await open(rig), await open(rig)];
  const clock = makeVirtualClock();
  using told = await connectTo(a, clock);
  const { all, say } = told;
  const answer = Promise.withResolvers<string>();
  class Guest extends RpcTarget implements Visitor {
    answer() {
      return answer.promise as unknown as string;
    }
  }
  await all.call((desk) => desk.tell(new Guest() as never));
  say(b.url);
  await until(() => all.openCount === 1, "the other is open");
  await clock.advance(3_000);
  expect(reportOf(all, a)).toMatchObject({ isOpen: true, isLeaving: true });
  answer.resolve("heard");
  await until(() => all.stats().exports === 2, "nothing of ours is held");
  await clock.advance(1_000);
  expect(reportOf(all, a)).toBeUndefined();
});

test("a directory of another's making that names no instance takes none away", async () => {
  await using rig = makeRig();
  const a = await open(rig);
  using told = await connectTo(a);
  const { all, say } = told;
  say();
  expect(reportOf(all, a)).toMatchObject({ isOpen: true, isLeaving: false });
  expect(await add(all)).toBe(3);
});

test("what was sent again stays counted when its instance is named no more", async () => {
  await using rig = makeRig();
  const [a, b] = [await open(rig), await open(rig)];
  using told = await connectTo(a);
  const { all, say } = told;
  let attempts = 0;
  const lostOnce = async () => {
    attempts += 1;
    if (attempts === 1) throw new FlotillaError("unavailable", "lost");
  };
  await all.call(lostOnce, { isRepeatable: true });
  say(b.url);
  await until(() => reportOf(all, a) === undefined, "it is let go of");
  expect(all.stats().repeated).toBe(1);
});
