export { expectNoLeaks, type LeakCheck, tablesAtRest } from "./leaks.ts";
export { makeTestLink, type TestLink, type TestLinkOptions } from "./test-link.ts";
export { makeTrio, servicePeer, type Trio, type TrioOptions, trioNames } from "./trio.ts";
export { makeVirtualClock, type VirtualClock } from "./virtual-clock.ts";
