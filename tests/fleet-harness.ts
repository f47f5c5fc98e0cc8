import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  systemClock as clock,
  connectAll,
  type Directory,
  expose,
  type Identity,
  type Instances,
  makeHome,
  makeLoans,
  openIdentity,
} from "@flotilla/kit";
import { makeRelay, makeRig, type Rig, until } from "@flotilla/kit/testing";
import { type Gateway, GatewayContract } from "../shop/contracts/gateway.ts";
import type { OrderService } from "../shop/contracts/orders.ts";
import type { UserService, UserServiceForPeers } from "../shop/contracts/users.ts";
import { makeGate } from "../shop/gateway/gate.ts";
import { makeIntroductions } from "../shop/gateway/introductions.ts";
import { GatewayTarget } from "../shop/gateway/service.ts";
import { orderServiceFor } from "../shop/orders/service.ts";
import { openSqliteOrderStore } from "../shop/orders/store-sql.ts";
import { rateDefaults } from "../shop/service/rate-settings.ts";
import { makeRevokers } from "../shop/users/revokers.ts";
import { seedUsers } from "../shop/users/seed.ts";
import { userServiceFor } from "../shop/users/service.ts";
import { openSqliteUserStore } from "../shop/users/store-sql.ts";
import { quietStatus } from "./quiet-status.ts";
import { instantPasswords, makeInstantTokens } from "./shop-harness.ts";

/** One instance of a service, in this process, reached over real sockets. */
export interface FleetInstance {
  /** Where the others reach it: over a relay, so that it can be lost without a word. */
  readonly url: string;
  /** Its run, as introductions name it. */
  readonly instance: string;
  /** Stops in good order. */
  drain(): Promise<void>;
  /** Is gone from one moment to the next, as far as anybody can see. */
  lose(): Promise<void>;
}

/** A directory that a test tells what to say. */
export interface ToldDirectory extends Directory {
  say(urls: readonly string[]): void;
}

/** Two and more instances of each service on shared stores in memory. Disposing it asserts that nothing leaked. */
export interface Fleet extends AsyncDisposable {
  readonly users: readonly FleetInstance[];
  readonly orders: readonly FleetInstance[];
  readonly gateways: readonly FleetInstance[];
  /** The outside client, who knows all gateways. */
  readonly client: Instances<Gateway>;
  /** The first gateway's connections. */
  readonly gatewayUsers: Instances<UserService>;
  readonly gatewayOrders: Instances<OrderService>;
  /** Where the first Order Service looks for users. */
  readonly ordersDirectory: ToldDirectory;
  readonly orderStore: ReturnType<typeof openSqliteOrderStore>;
  /** Another connection of the first gateway's name and key, to one instance of the User Service. */
  connectToUsers(index: number): Instances<UserService>;
}

export interface FleetOptions {
  readonly gateways?: number;
  /** What stands in for the Order Service's store. */
  readonly orderStore?: ReturnType<typeof openSqliteOrderStore>;
}

export async function makeFleet(options: FleetOptions = {}): Promise<Fleet> {
  const rig = makeRig();
  const keys = mkdtempDisposableSync(join(tmpdir(), "flotilla-fleet-"));
  const as = (name: string) => openIdentity(keys.path, name);
  const places: FleetInstance[] = [];
  // Last of all, when nobody is connected any more.
  rig.onEnd(() => Promise.all(places.map(({ lose }) => lose())));
  const orderStore = options.orderStore ?? openSqliteOrderStore(":memory:");
  const userStore = openSqliteUserStore(":memory:");
  await seedUsers({ mode: "development", clock, store: userStore, passwords: instantPasswords });
  const tokens = makeInstantTokens(clock);

  const users = await several(2, () => {
    const home = makeHome({ name: "users" });
    // What ends a login at one instance is told to no other.
    const deps = { clock, store: userStore, passwords: instantPasswords, tokens, revokers: makeRevokers() };
    return serveAt(home.instance, {
      name: "users",
      identity: as("users"),
      main: (peer) => userServiceFor(peer, home, deps),
    });
  });
  const userUrls = users.map(({ url }) => url);
  const ordersDirectory = makeToldDirectory(userUrls);
  const orders = await several(2, (index) => {
    const home = makeHome({ name: "orders" });
    const directory = index === 0 ? ordersDirectory : makeToldDirectory(userUrls);
    const from = connectAll<UserServiceForPeers>({ name: "users", directory, as: linkAs("orders", home.instance) });
    const loans = makeLoans({ from });
    rig.onEnd(() => {
      loans[Symbol.dispose]();
      from.close();
    });
    from.opened().catch(() => {});
    const deps = { clock, store: orderStore, users: loans };
    return serveAt(home.instance, {
      name: "orders",
      identity: as("orders"),
      main: (peer) => orderServiceFor(peer, home, deps),
    });
  });
  const links: [Instances<UserService>, Instances<OrderService>][] = [];
  const gateways = await several(options.gateways ?? 1, async (index) => {
    const { instance } = makeHome({ name: "gateway" });
    const link = linkAs("gateway", instance);
    const toUsers = connectAll<UserService>({ name: "users", urls: userUrls, as: link });
    const toOrders = connectAll<OrderService>({ name: "orders", urls: orders.map(({ url }) => url), as: link });
    links[index] = [toUsers, toOrders];
    await Promise.all([toUsers.opened(), toOrders.opened()]);
    const introductions = makeIntroductions({ users: toUsers, to: "orders", clock });
    const gateway = new GatewayTarget({
      users: toUsers,
      orders: toOrders,
      introductions,
      clock,
      status: () => quietStatus,
    });
    const rates = { ...rateDefaults, networkPoints: 999_999_999, userPoints: 999_999_999 };
    const gate = makeGate({ gateway, users: toUsers, clock, rates });
    rig.onEnd(() => {
      introductions[Symbol.dispose]();
      toUsers.close();
      toOrders.close();
    });
    return serveAt(instance, { name: "gateway", main: (peer) => expose(GatewayContract, gate.open(peer), { peer }) });
  });
  const client = connectAll<Gateway>({ name: "gateway", urls: gateways.map(({ url }) => url) });
  rig.onEnd(() => client.close());
  await client.opened();
  const all = [...links.flat(), client];
  await until(() => all.every((link) => link.report().every(({ isOpen }) => isOpen)), "all are connected");

  return {
    users,
    orders,
    gateways,
    client,
    gatewayUsers: links[0]![0],
    gatewayOrders: links[0]![1],
    ordersDirectory,
    orderStore,
    connectToUsers(index) {
      const link = connectAll<UserService>({
        name: "users",
        urls: [userUrls[index]!],
        as: linkAs("gateway", makeHome({ name: "gateway" }).instance),
      });
      rig.onEnd(() => link.close());
      return link;
    },
    async [Symbol.asyncDispose]() {
      try {
        await rig[Symbol.asyncDispose]();
      } finally {
        keys[Symbol.dispose]();
      }
    },
  };

  function linkAs(name: string, instance: string): { identity: Identity; instance: string } {
    return { identity: as(name), instance };
  }

  async function serveAt(instance: string, serving: Parameters<Rig["serve"]>[0]): Promise<FleetInstance> {
    const server = await rig.serve({ ...serving, instance, onHiddenError: () => {} });
    const relay = await makeRelay(server.url);
    let lost: Promise<void> | undefined;
    const lose = async () => {
      await relay[Symbol.asyncDispose]();
      await until(() => server.stats().sessions === 0, "its sessions are over");
    };
    const place: FleetInstance = {
      url: relay.url,
      instance,
      lose() {
        lost ??= lose();
        return lost;
      },
      async drain() {
        await server.drain();
        await place.lose();
      },
    };
    places.push(place);
    return place;
  }
}

/** One after the other, so that `index` is the place in the list. */
async function several<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let index = 0; index < count; index += 1) all.push(await make(index));
  return all;
}

function makeToldDirectory(first: readonly string[]): ToldDirectory {
  let tell: ((urls: readonly string[]) => void) | undefined;
  return {
    watch(listener) {
      tell = listener;
      listener(first);
      return () => {
        tell = undefined;
      };
    },
    say: (urls) => tell?.(urls),
  };
}
