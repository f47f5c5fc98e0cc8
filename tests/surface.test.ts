import * as kit from "@flotilla/kit";
import * as browser from "@flotilla/kit/browser";
import * as testing from "@flotilla/kit/testing";
import { expect, test } from "vitest";

/** What others build on. A name that goes, or comes, is a decision: change it here on purpose. */
test("the kit exports these values", () => {
  expect(Object.keys(kit).sort()).toMatchInlineSnapshot(`
    [
      "FlotillaError",
      "RpcPromise",
      "RpcStub",
      "RpcTarget",
      "accept",
      "addressOf",
      "anonymous",
      "arg",
      "assertPrivate",
      "attenuate",
      "callback",
      "carryRevocations",
      "connect",
      "connectAll",
      "contract",
      "currentContext",
      "decodeText",
      "deposited",
      "dnsDirectory",
      "edgeLimits",
      "errorCodes",
      "etcdDirectory",
      "etcdPlaceOf",
      "expiring",
      "expose",
      "fileDirectory",
      "hasCode",
      "instancesMax",
      "introduce",
      "introducible",
      "introductionTo",
      "isAddressRange",
      "linkLimits",
      "listDirectory",
      "makeHome",
      "makeLoans",
      "makeMemoryLink",
      "makeMetrics",
      "makeRevoker",
      "networksOf",
      "newIdempotencyKey",
      "onShutdownSignal",
      "openBatch",
      "openDirectory",
      "openIdentity",
      "openSession",
      "optional",
      "originOf",
      "reasonOf",
      "registerInEtcd",
      "revocable",
      "runKeys",
      "serve",
      "serveOps",
      "srvDirectory",
      "standsUntil",
      "stoppingReason",
      "systemClock",
      "withContext",
      "withOwnDeadline",
    ]
  `);
});

test("the kit's testing exports these values", () => {
  expect(Object.keys(testing).sort()).toMatchInlineSnapshot(`
    [
      "ask",
      "expectNoLeaks",
      "makeDesk",
      "makeRelay",
      "makeRig",
      "makeTestLink",
      "makeTrio",
      "makeVirtualClock",
      "outcome",
      "sendRaw",
      "servicePeer",
      "spawnChild",
      "tablesAtRest",
      "trioNames",
      "until",
    ]
  `);
});

test("the kit exports these values to pages", () => {
  expect(Object.keys(browser).sort()).toMatchInlineSnapshot(`
    [
      "FlotillaError",
      "RpcPromise",
      "RpcStub",
      "RpcTarget",
      "connect",
      "currentContext",
      "edgeLimits",
      "errorCodes",
      "hasCode",
      "linkLimits",
      "newIdempotencyKey",
      "openBatch",
      "reasonOf",
      "systemClock",
      "withContext",
    ]
  `);
});
