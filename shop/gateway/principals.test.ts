import { FlotillaError } from "@flotilla/kit";
import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makePrincipals } from "./principals.ts";

/** Principals, and the questions that they put to the User Service, to be answered in any order. */
function setUp(entriesMax?: number) {
  const clock = makeVirtualClock();
  const questions: PromiseWithResolvers<unknown>[] = [];
  const call = () => {
    const question = Promise.withResolvers<unknown>();
    questions.push(question);
    return question.promise as Promise<never>;
  };
  const principals = makePrincipals({ users: { call }, clock, ...(entriesMax !== undefined && { entriesMax }) });
  const ask = (from: number, to: number) => {
    for (let n = from; n < to; n += 1) principals.ask(`token ${n}`);
  };
  return { clock, principals, questions, ask };
}

test("at most 100 tokens are asked about at once; the others are asked about when there is room", async () => {
  const { clock, principals, questions, ask } = setUp();
  ask(0, 150);
  expect(questions).toHaveLength(100);
  questions[0]!.resolve("user1");
  questions[1]!.reject(new FlotillaError("unauthenticated", "no"));
  await clock.settle();
  expect(principals.userOf("token 0")).toBe("user1");
  expect(principals.userOf("token 1")).toBeUndefined();
  ask(100, 150);
  expect(questions).toHaveLength(102);
});

test("a token is asked about once while its question is open, however many calls bring it", () => {
  const { principals, questions } = setUp();
  for (let n = 0; n < 10; n += 1) principals.ask("token");
  expect(questions).toHaveLength(1);
});

test("a full table forgets the token that was not used longest, to the second", async () => {
  const { clock, principals } = setUp(2);
  principals.learn("a", "user1");
  principals.learn("b", "user2");
  await clock.advance(1_000);
  expect(principals.userOf("a")).toBe("user1");
  principals.learn("c", "user3");
  expect([..."abc"].map((token) => principals.userOf(token))).toEqual(["user1", undefined, "user3"]);
});

test("a token that the User Service no longer knows is forgotten", () => {
  const { principals } = setUp();
  principals.learn("a", "user1");
  principals.forget("a");
  expect(principals.userOf("a")).toBeUndefined();
});
