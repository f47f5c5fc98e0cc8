import { FlotillaError } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import { recalled } from "./recalled-store.ts";
import type { UserStore } from "./store.ts";
import { openSqliteUserStore } from "./store-sql.ts";

const by = { nowMs: 1_000 };

/** A store of which one method does `act`, and what was done in its order. */
function makeStore(name: keyof UserStore, act: () => unknown) {
  const done: string[] = [];
  const method = async () => {
    done.push(name);
    return act();
  };
  const recall = async () => {
    await new Promise(setImmediate);
    done.push("recall");
  };
  const store = recalled({ [name]: method } as unknown as UserStore, { recall });
  return { store, done };
}

test("a change is answered after the recall", async () => {
  const { store, done } = makeStore("setRole", () => ({ id: "user1" }));
  expect(await store.setRole("user1", "user", by)).toEqual({ id: "user1" });
  expect(done).toEqual(["setRole", "recall"]);
});

describe("when a change fails", () => {
  test.each([
    ["nobody knows what came of it", new FlotillaError("unavailable", "The disk is full"), true],
    ["of a fault", new TypeError("a fault"), true],
    ["its time was over", new FlotillaError("deadline_exceeded", "The call took longer than its deadline"), true],
    ["it was refused", new FlotillaError("not_found", "User not found"), false],
  ])("because %s", async (_, error, isRecalled) => {
    const { store, done } = makeStore("setRole", () => {
      throw error;
    });
    await expect(store.setRole("user1", "user", by)).rejects.toBe(error);
    expect(done).toEqual(isRecalled ? ["setRole", "recall"] : ["setRole"]);
  });
});

describe("a login that is opened", () => {
  const login = (endsMs: number) => ({ idleEndsAtMs: endsMs, endsAtMs: endsMs });
  test.each([
    ["and ends none", { ended: [] }, false],
    ["in the place of one that goes on", { ended: [login(1_001)] }, true],
    ["in the place of one that is over by itself", { ended: [login(1_000)] }, false],
    ["by a wrong password", undefined, false],
  ])("%s", async (_, opened, isRecalled) => {
    const { store, done } = makeStore("openLogin", () => opened);
    await store.openLogin({} as never, by);
    expect(done.includes("recall")).toBe(isRecalled);
  });
});

test("every method of a store is one of which it is known", () => {
  const own = openSqliteUserStore(":memory:");
  const store = recalled(own, { recall: async () => {} });
  expect(Object.keys(store).sort()).toEqual(Object.keys(own).sort());
  own.close();
});
