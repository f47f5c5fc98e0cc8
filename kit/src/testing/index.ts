export { type Child, spawnChild } from "./child.ts";
export { type Desk, makeDesk, type TestDesk, type Ticket, type Visitor } from "./desk.ts";
export { type Answer, ask, type Sent, sendRaw } from "./http.ts";
export { expectNoLeaks, type LeakCheck, tablesAtRest } from "./leaks.ts";
export { makeRig, type Rig, type RigServe } from "./rig.ts";
export { makeTestLink, type TestLink, type TestLinkOptions } from "./test-link.ts";
export { makeTrio, servicePeer, type Trio, type TrioOptions, trioNames } from "./trio.ts";
export { outcome, until } from "./until.ts";
export { makeVirtualClock, type VirtualClock } from "./virtual-clock.ts";
