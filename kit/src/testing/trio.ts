import type { ServicePeer } from "../base/peer.ts";
import { type Home, makeHome } from "../introduction/home.ts";
import type { HomeLink } from "../introduction/introduce.ts";
import type { LeaseOptions } from "../introduction/leases.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { expectNoLeaks } from "./leaks.ts";
import { makeTestLink, type TestLink } from "./test-link.ts";
import { makeVirtualClock, type VirtualClock } from "./virtual-clock.ts";

/** What the home and the recipient of a trio serve. */
export interface TrioOptions {
  /** One way, of each link. */
  readonly delayMs?: number;
  /** How the home leases. Default: it leases nothing. */
  readonly leases?: LeaseOptions | undefined;
  /** The home's main object for one of its peers. */
  homeMain(home: Home, peer: ServicePeer, clock: VirtualClock): RpcTarget;
  /** The recipient's main object for the gifter, given the recipient's own link to the home. */
  recipientMain(recipient: Home, link: HomeLink, peer: ServicePeer, clock: VirtualClock): RpcTarget;
}

/** Three services on one virtual clock: the gifter holds a capability of the home's and introduces it to the recipient. */
export interface Trio extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly home: Home;
  readonly recipient: Home;
  readonly gifterToHome: TestLink;
  readonly gifterToRecipient: TestLink;
  readonly recipientToHome: TestLink;
}

/** Names of the three; ours in the shop are `users`, `orders` and `gateway`. */
export const trioNames = { home: "home", recipient: "recipient", gifter: "gifter" } as const;

/**
 * Three services in this process on one virtual clock, for tests of an introduction: `await using trio = makeTrio(…)`.
 * Disposing it asserts that nothing leaked: tables at their start, no deposit, nothing parked.
 */
export function makeTrio({ delayMs = 0, leases, homeMain, recipientMain }: TrioOptions): Trio {
  const clock = makeVirtualClock();
  const home = makeHome({ name: trioNames.home, clock, leases });
  const recipient = makeHome({ name: trioNames.recipient, clock });
  const gifterPeer = servicePeer(trioNames.gifter);
  const recipientPeer: ServicePeer = { kind: "service", name: recipient.name, instance: recipient.instance };
  const link = (from: ServicePeer, to: Home, main: RpcTarget) =>
    makeTestLink({ clock, delayMs, from, to: { name: to.name, instance: to.instance, main } });

  const recipientToHome = link(recipientPeer, home, homeMain(home, recipientPeer, clock));
  const gifterToHome = link(gifterPeer, home, homeMain(home, gifterPeer, clock));
  const gifterToRecipient = link(gifterPeer, recipient, recipientMain(recipient, recipientToHome, gifterPeer, clock));
  return {
    clock,
    home,
    recipient,
    gifterToHome,
    gifterToRecipient,
    recipientToHome,
    async [Symbol.asyncDispose]() {
      await clock.advance(delayMs * 4 + 10);
      expectNoLeaks({ links: [gifterToHome, gifterToRecipient, recipientToHome], homes: [home, recipient] });
    },
  };
}

/** A peer as if it had proved to be `name`, in a run that has a name of its own. */
export function servicePeer(name: string): ServicePeer {
  return { kind: "service", name, instance: `${name}-instance-0`.padEnd(16, "0").slice(0, 16) };
}
