import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { linkLimits } from "../base/limits.ts";
import type { Peer } from "../base/peer.ts";
import type { HomeLink } from "../introduction/introduce.ts";
import type { SessionEnv } from "../rpc/session-env.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { openSession, type Session } from "../session/session.ts";
import type { Framing } from "../transport/channel.ts";
import { makeMemoryLink } from "../transport/memory.ts";

/** Who is linked to whom, and how slowly. */
export interface TestLinkOptions {
  readonly clock: Clock;
  readonly delayMs?: number;
  readonly framing?: Framing;
  /** The end that calls. `anonymous` for an outside client. */
  readonly from: Peer;
  readonly to: { readonly name: string; readonly instance: string; readonly main: RpcTarget };
  /** The session of the called end. */
  readonly env?: SessionEnv;
  /** Another for each link that stands for a reconnection. Default 1. */
  readonly sessionNumber?: number;
}

/** A session between two services in one process, with what went over it. */
export interface TestLink extends HomeLink {
  readonly main: RpcStub<RpcTarget>;
  /** Cap'n Web messages in the order in which they were sent, as `>` (to the called side) or `<` and their text. */
  readonly messages: string[];
  readonly frames: string[];
  readonly near: Session;
  readonly far: Session;
  cut(): void;
}

/** Default: our own framing, no delay. */
export function makeTestLink({
  clock,
  delayMs = 0,
  framing = "flotilla.v1",
  from,
  to,
  env,
  sessionNumber = 1,
}: TestLinkOptions): TestLink {
  const link = makeMemoryLink({ framing, delayMs, clock });
  const messages: string[] = [];
  const frames: string[] = [];
  const isService = from.kind === "service";
  // What is hidden from a peer is what tests cause on purpose; they see it by `onFault`.
  const common = { limits: linkLimits, clock, onHiddenError: () => {} };
  const far = openSession(link.right, {
    ...common,
    localMain: to.main,
    env,
    callers: { keepCallers: isService, peerName: isService ? from.name : undefined },
    onFrame: (direction, frame) => record(direction === "in" ? ">" : "<", frame, direction === "out"),
  });
  const near = openSession(link.left, {
    ...common,
    callers: { keepCallers: true, peerName: to.name },
    onFrame: (direction, frame) => record(">", frame, direction === "out"),
  });
  let isCut = false;
  const testLink: TestLink = {
    name: to.name,
    get instance() {
      return isCut ? undefined : to.instance;
    },
    at: (instance) => (instance === testLink.instance ? testLink : undefined),
    isAnonymous: !isService,
    main: near.remoteMain,
    async opened() {
      if (isCut) throw new FlotillaError("unavailable", `${to.name} cannot be reached`);
    },
    sessionNumber,
    messages,
    frames,
    near,
    far,
    cut() {
      isCut = true;
      link.cut();
    },
  };
  return testLink;

  /** Each end records what it sends, so that a message counts once and at the time it was sent. */
  function record(arrow: string, frame: string, isSent: boolean): void {
    if (!isSent) return;
    frames.push(`${arrow}${frame}`);
    for (const line of frame.split("\n")) if (!line.startsWith("{")) messages.push(`${arrow}${line}`);
  }
}
