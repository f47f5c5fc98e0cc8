// What the adversary tries. Each technique is bounded in count and in time, and throws a `Finding` when it got what it
// should not. That the services still answer while all this goes on, the loop in adversary.ts looks at.
import type { Technique } from "./adversary-attack.ts";
import {
  badUpgradesAsked,
  flood,
  halfRequests,
  malformedHttp,
  pipelinedRequests,
  secretPathsAsked,
  smuggling,
  strangersAtTheDoor,
  trickle,
} from "./adversary-http.ts";
import {
  badFramesSent,
  batchAbuse,
  deafness,
  guessing,
  hammering,
  overspending,
  randomBatches,
  randomSessions,
} from "./adversary-rpc.ts";
import { post, upgradeRequest } from "./adversary-wire.ts";

export const techniques: Readonly<Record<string, Technique>> = {
  "slow headers": (attack) => trickle(attack, "GET /healthz HTTP/1.1\r\nHost: x\r\n", "a: b\r\n"),
  "slow body": (attack) =>
    trickle(attack, post("", ["X: y"]).replace("Content-Length: 0", "Content-Length: 100000"), "x"),
  "slow upgrade": (attack) => trickle(attack, upgradeRequest().slice(0, -2), "a: b\r\n"),
  "malformed HTTP": malformedHttp,
  smuggling,
  "strangers at the door": strangersAtTheDoor,
  "secret paths": secretPathsAsked,
  "bad upgrades": badUpgradesAsked,
  "bad frames": badFramesSent,
  "a peer that does not read": deafness,
  "random sessions": randomSessions,
  "random batches": randomBatches,
  "batch abuse": batchAbuse,
  "guessed passwords": guessing,
  "one account hammered": hammering,
  "more calls than an address may make": overspending,
  "connection flood": flood,
  "pipelined requests": pipelinedRequests,
  "half requests": halfRequests,
};
