import { randomBytes } from "node:crypto";
import {
  type AnonymousPeer,
  anonymous,
  type Clock,
  type Connection,
  expose,
  type FlotillaError,
  type Home,
  type Instances,
  type Introduction,
  makeHome,
  makeLoans,
  type Peer,
  type RpcStub,
  type RpcTarget,
  type ServicePeer,
} from "@flotilla/kit";
import { expectNoLeaks, makeTestLink, makeVirtualClock, servicePeer, type TestLink } from "@flotilla/kit/testing";
import type { GatewayClient } from "../shop/cli/gateway-client.ts";
import { type Gateway, GatewayContract } from "../shop/contracts/gateway.ts";
import type { Item, OrderService } from "../shop/contracts/orders.ts";
import type { Login, User, UserService } from "../shop/contracts/users.ts";
import { makeGate } from "../shop/gateway/gate.ts";
import { makeIntroductions } from "../shop/gateway/introductions.ts";
import { GatewayTarget } from "../shop/gateway/service.ts";
import { orderServiceFor } from "../shop/orders/service.ts";
import { openSqliteOrderStore } from "../shop/orders/store-sql.ts";
import { leasesOf } from "../shop/service/leases.ts";
import { type RateSettings, rateDefaults } from "../shop/service/rate-settings.ts";
import type { ServiceName } from "../shop/topology.ts";
import { type AccessClaims, type AccessTokens, tokenLifetimeMsDefault } from "../shop/users/access-token.ts";
import type { Passwords } from "../shop/users/password.ts";
import { recalled } from "../shop/users/recalled-store.ts";
import { makeRevokers } from "../shop/users/revokers.ts";
import { seedUsers } from "../shop/users/seed.ts";
import { userServiceFor } from "../shop/users/service.ts";
import type { UserStore } from "../shop/users/store.ts";
import { openSqliteUserStore } from "../shop/users/store-sql.ts";
import { hearing } from "./hearing.ts";
import { quietStatus } from "./quiet-status.ts";

export interface ShopOptions {
  /** One way, of each link; at least 1, because what takes no time is not on the clock. */
  readonly delayMs?: number;
  readonly tokenLifetimeMs?: number;
  /** Introductions the gateway keeps. */
  readonly entriesMax?: number;
  /** What differs from the gateway's defaults. */
  readonly rates?: Partial<RateSettings>;
  /** Hears of each use of a store and each use the gateway makes of a service, in the context of the call that makes it. */
  readonly onWork?: (service: ServiceName) => void;
}

export type Shop = Awaited<ReturnType<typeof makeShop>>;

/** What the demo's users log in with. */
export const demoPassword = "password";

export const someItems: Item[] = [
  { name: "Laptop", quantity: 1, price: 999.99 },
  { name: "Mouse", quantity: 2, price: 29.99 },
];

/**
 * Argon2 works in threads, on real time, of which a virtual clock knows nothing: it would find that nothing is left to
 * happen. What is proven about passwords is proven in shop/users and against the processes.
 */
export const instantPasswords: Passwords = {
  hash: async (password) => `plain ${password.normalize("NFC")}`,
  verify: async (hash, password) => hash === `plain ${password.normalize("NFC")}`,
};

/** For the same reason: WebCrypto signs in threads. What is proven about tokens is proven in shop/users. */
export function makeInstantTokens(clock: Clock, lifetimeMs = tokenLifetimeMsDefault): AccessTokens {
  const issued = new Map<string, AccessClaims & { expiresAtMs: number }>();
  return {
    async issue(claims) {
      const token = randomBytes(32).toString("base64url");
      const expiresAtMs = clock.now() + lifetimeMs;
      issued.set(token, { ...claims, expiresAtMs });
      return { token, expiresAtMs };
    },
    async verify(token) {
      const claims = issued.get(token);
      return claims && claims.expiresAtMs > clock.now() ? claims : undefined;
    },
  };
}

/**
 * The shop in one process: users, orders and gateway on memory stores, joined by links in memory, and an outside client
 * of the gateway; time is virtual. Disposing it ends the introductions and asserts that nothing leaked.
 */
export async function makeShop(options: ShopOptions = {}) {
  const { delayMs = 1, onWork, entriesMax } = options;
  const clock = makeVirtualClock();
  let linksMade = 0;
  const makeUsersHome = () => makeHome({ name: "users", clock, leases: leasesOf({ store: undefined }) });
  let users = makeUsersHome();
  const heardStore = hearing<UserStore>(openSqliteUserStore(":memory:"), () => onWork?.("users"));
  let recalls = 0;
  const recall = async () => {
    await users.recall();
    recalls += 1;
  };
  const userStore = recalled(heardStore, { recall });
  const orderStore = hearing(openSqliteOrderStore(":memory:"), () => onWork?.("orders"));
  await seedUsers({ mode: "development", clock, store: userStore, passwords: instantPasswords });
  const tokens = makeInstantTokens(clock, options.tokenLifetimeMs);
  const userDeps = { clock, store: userStore, passwords: instantPasswords, tokens, revokers: makeRevokers() };

  const orders = makeHome({ name: "orders", clock });
  const gatewayPeer = servicePeer("gateway");
  const ordersPeer: ServicePeer = { kind: "service", name: "orders", instance: orders.instance };
  let ordersUsers = link(ordersPeer, users, userServiceFor(ordersPeer, users, userDeps));
  let gatewayUsers = link(gatewayPeer, users, userServiceFor(gatewayPeer, users, userDeps));
  const usersForOrders = connectionOver(() => ordersUsers);
  const loans = makeLoans({ from: usersForOrders, clock, leases: true });
  const orderDeps = { clock, store: orderStore, users: loans };
  const gatewayOrders = link(gatewayPeer, orders, orderServiceFor(gatewayPeer, orders, orderDeps));

  const atGateway = () => onWork?.("gateway");
  const usersForGateway = connectionOver<UserService>(() => gatewayUsers, atGateway);
  const ordersForGateway = connectionOver<OrderService>(() => gatewayOrders, atGateway);
  const usersAll = instancesOver(usersForGateway);
  const introductions = makeIntroductions({
    users: usersAll,
    to: "orders",
    clock,
    ...(entriesMax !== undefined && { entriesMax }),
  });
  const gateway = new GatewayTarget({
    users: usersAll,
    orders: instancesOver(ordersForGateway),
    introductions,
    clock,
    status: () => quietStatus,
  });
  const gatewayHome = { name: "gateway", instance: gatewayPeer.instance };
  const refusals: FlotillaError[] = [];
  const gate = makeGate({
    gateway,
    users: usersAll,
    clock,
    rates: { ...rateDefaults, ...options.rates },
    onRefused: (refusal) => refusals.push(refusal),
  });
  const fronts: TestLink[] = [];
  const openFront = (peer: AnonymousPeer): TestLink => {
    const front = link(peer, gatewayHome, expose(GatewayContract, gate.open(peer), { peer, clock }));
    fronts.push(front);
    return front;
  };
  const front = openFront(anonymous);
  const client = front.main as unknown as RpcStub<Gateway>;

  return {
    clock,
    userStore,
    orderStore,
    userDeps,
    orderDeps,
    /** The Order Service's link to the home of the users. */
    usersForOrders,
    orders,
    /** The User Service as the gateway has it. */
    usersForGateway: usersAll,
    gateway,
    introductions,
    /** The outside client's stub of the gateway. */
    client,
    /** Another session of an outside client, from elsewhere. */
    openClient(peer: Omit<AnonymousPeer, "kind">) {
      const other = openFront({ kind: "anonymous", ...peer });
      const cut = () => {
        fronts.splice(fronts.indexOf(other), 1);
        other.cut();
      };
      return { main: other.main as unknown as RpcStub<Gateway>, cut };
    },
    /** Of calls that the gateway refused by its limits. */
    refusals,
    get users() {
      return users;
    },
    /** How often the store has waited for the home to take back what it had vouched for. */
    recalls: () => recalls,
    get links() {
      return { gatewayUsers, gatewayOrders, ordersUsers, client: front };
    },
    /** The gateway's stub of the Order Service. */
    ordersMain: gatewayOrders.main as unknown as RpcStub<OrderService>,
    get usersMain() {
      return gatewayUsers.main as unknown as RpcStub<UserService>;
    },
    /** A session of `peer` with the Order Service, as the real one serves it. */
    linkToOrders: (peer: ServicePeer) => link(peer, orders, orderServiceFor({ ...peer }, orders, orderDeps)),
    login: (username: string): Promise<Login> => clock.run(client.login(username, demoPassword)),
    restartUsers,
    reconnectUsers,
    async [Symbol.asyncDispose]() {
      introductions[Symbol.dispose]();
      loans[Symbol.dispose]();
      await clock.advance(delayMs * 4 + 10);
      expectNoLeaks({ links: [gatewayUsers, gatewayOrders, ordersUsers, ...fronts], homes: [users, orders] });
      if (userDeps.revokers.size > 0) throw new Error(`${userDeps.revokers.size} revokers are kept for nothing`);
    },
  };

  /** Another run of the User Service on the same store, to which the others have connected. */
  async function restartUsers(): Promise<void> {
    users = makeUsersHome();
    await reconnectUsers();
  }

  /** The same run of the User Service, to which the others have connected anew. */
  async function reconnectUsers(): Promise<void> {
    const before = [ordersUsers, gatewayUsers];
    ordersUsers = link(ordersPeer, users, userServiceFor(ordersPeer, users, userDeps));
    gatewayUsers = link(gatewayPeer, users, userServiceFor(gatewayPeer, users, userDeps));
    for (const old of before) old.cut();
    await clock.settle();
  }

  function link(from: Peer, to: Pick<Home, "name" | "instance">, main: RpcTarget | undefined): TestLink {
    if (!main) throw new Error(`${to.name} serves nothing to this peer`);
    return makeTestLink({
      clock,
      delayMs,
      from,
      to: { name: to.name, instance: to.instance, main },
      sessionNumber: ++linksMade,
    });
  }
}

/** The client's calls, each run to its end on the virtual clock. */
export function clientOf({ clock, client }: Shop): GatewayClient {
  return {
    login: (username, password) => clock.run(client.login(username, password)),
    getUserProfile: (token) => clock.run(client.getUserProfile(token)),
    listUsers: (token) => clock.run(client.listUsers(token)),
    createOrder: (token, items) => clock.run(client.createOrder(token, items)),
    listOrders: (token) => clock.run(client.listOrders(token)),
    cancelOrder: (token, orderId) => clock.run(client.cancelOrder(token, orderId)),
  };
}

/** What the type checker must not let through, as a hostile gateway would send it anyway. */
export function asIntroduction(value: unknown): Introduction<User> {
  return value as Introduction<User>;
}

function connectionOver<T extends RpcTarget>(current: () => TestLink, onUse?: () => void): Connection<T> {
  const link: Connection<T> = {
    get name() {
      return current().name;
    },
    get instance() {
      return current().instance;
    },
    get main() {
      onUse?.();
      return current().main as unknown as RpcStub<T>;
    },
    opened: () => current().opened(),
    get sessionNumber() {
      return current().sessionNumber;
    },
    at: (instance) => (instance === current().instance ? link : undefined),
    isAnonymous: false,
    isOpen: true,
    awayMs: 0,
    away: undefined,
    isLeaving: false,
    stats: () => current().near.stats(),
    withheld: 0,
    retry: () => {},
    close: () => current().cut(),
    [Symbol.dispose]: () => current().cut(),
  };
  return link;
}

/** A service of which there is one instance. */
function instancesOver<T extends RpcTarget>(
  connection: Connection<T>,
): Pick<Instances<T>, "call" | "pick" | "opened" | "isOpen"> {
  return {
    call: async (use) => await use(connection.main, connection),
    pick: () => connection,
    opened: () => connection.opened(),
    isOpen: true,
  };
}
