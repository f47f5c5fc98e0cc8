import fc, { type Arbitrary } from "fast-check";
import { AdministrationContract } from "../../shop/contracts/administration.ts";
import { GatewayContract, MyAccountContract } from "../../shop/contracts/gateway.ts";
import { OrderContract, OrderServiceContract } from "../../shop/contracts/orders.ts";
import { AccountContract, UserContract, UserServiceContract } from "../../shop/contracts/users.ts";
import type { Recordings } from "./fuzz-shop.ts";
import { type Call, sessionLines } from "./grammar.ts";
import { mutated } from "./grammar-mutations.ts";
import { hostileString, placeholders, politeValue } from "./grammar-values.ts";

export const fuzzTargets = ["gateway", "batch", "users", "orders"] as const;
/** `batch` is the gateway's; the others are WebSocket sessions. */
export type FuzzTarget = (typeof fuzzTargets)[number];

/** One session with one target, whose attacker is anybody at the gateway and a service with a stolen key elsewhere. */
export interface FuzzCase {
  readonly target: FuzzTarget;
  readonly as: "gateway" | "orders";
  readonly framing: "capnweb" | "flotilla.v1";
  /** Comes from an address that has used up its log-ins, and tries one more at the end. */
  readonly isCrowded: boolean;
  /** With placeholders. */
  readonly lines: readonly string[];
  readonly linesPerFrame: number;
  /** `probe`: cut when a call after all of it was answered; `wait`: when every call was; `cut`: at once; `close`: politely. */
  readonly ending: "probe" | "wait" | "cut" | "close";
  /** What a batch asks for. */
  readonly timeoutMs: number;
}

/** Mostly what is right, because what comes after it is only seen then. */
const often = <T>(right: Arbitrary<T>, otherwise: Arbitrary<unknown>): Arbitrary<unknown> =>
  fc.oneof({ weight: 5, arbitrary: right }, { weight: 1, arbitrary: otherwise });
const some = (...words: unknown[]) => often(fc.constantFrom(...words), fc.oneof(hostileString, politeValue));

const token = some(placeholders.token, placeholders.token, placeholders.adminToken);
const orderId = some("order1", "order2", "order999");
const numberOr = (...right: unknown[]) => some(...right, "$RAW:-0", "$RAW:1e308", 1.005, -1, "7");
const item = fc.record({ name: some("Laptop", "x"), quantity: numberOr(1, 2), price: numberOr(999.99, 0) });
const items = often(
  fc.array(often(item, politeValue), { maxLength: 3 }).map((list) => [list]),
  politeValue,
);
// Few keys, so that a session's orders are mostly the same ones and their owner's list stays short.
const key = fc.nat(20).chain((n) => some(`fuzz-${n}`));
const introduction = often(
  fc.record({
    introduction: some(placeholders.gift, placeholders.gift, placeholders.nonce),
    home: some("users", "users", "users", "orders"),
    instance: some(placeholders.users, placeholders.users, placeholders.orders),
  }),
  politeValue,
);
const service = some("gateway", "orders", "users");
const call = (method: string, ...args: Arbitrary<unknown>[]): Call => ({ method, args: fc.tuple(...args) });

/** Argon2 takes 20 ms of a core, by design: of the calls that reach it only few are made. */
const password = fc.oneof(
  {
    weight: 30,
    arbitrary: fc
      .oneof(politeValue, fc.constant("x".repeat(1_025)))
      .filter((it) => typeof it !== "string" || it.length > 1_024),
  },
  { weight: 1, arbitrary: fc.constantFrom("password", "wrong") },
);
const home = [
  call("withdraw", some(placeholders.nonce, placeholders.gift), service),
  call("cancelDeposit", some(placeholders.nonce), service),
];
const lifetimeMs = numberOr(1, 60_000);
const user = [
  ...[...UserContract.methods.keys()].filter((name) => name !== "hasPermission").map((name) => call(name)),
  call("hasPermission", some("order.create")),
  call("deposit", some(placeholders.nonce), service, lifetimeMs),
];

/** Ends logins of the honest client beside, who uses the same ones. */
const endsLogins: ReadonlySet<string> = new Set(["logout", "logoutEverywhere"]);
const nobody = some("user99");
const noRole = some("nobody", "No Role");
const words = often(fc.constant([["order.view", "system.admin"]]), politeValue);
const newUser = often(
  fc.record({ username: some("x", "Bob"), password: some("short"), email: some("x@example.com"), role: some("user") }),
  politeValue,
);
const usersPage = often(fc.record({ limit: numberOr(1, 100), after: some("user1", 1) }), politeValue);
const page = often(fc.record({ limit: numberOr(1, 100), before: some("order1", 1) }), politeValue);

/** Of nobody, and with passwords that are refused: nothing that the honest client needs is changed, and nothing hashed. */
const administration = [
  call("createUser", newUser),
  call("disableUser", nobody),
  call("enableUser", nobody),
  call("deleteUser", nobody),
  call("listUsers", usersPage),
  call("setRole", nobody, noRole),
  call("listRoles"),
  call("createRole", some("No Role"), words),
  call("deleteRole", noRole),
  call("setRolePermissions", noRole, words),
  call("audit", page),
];
const account = [
  ...["user", "getProfile", "listSessions", "administration"].map((name) => call(name)),
  call("endSession", politeValue),
  call("editProfile", politeValue),
  call("changePassword", some("wrong"), some("short")),
  ...administration,
];
const myAccount = [
  ...["profile", "orders", "sessions", "administration"].map((name) => call(name)),
  call("allOrders", page),
  call("createOrder", items, key),
  call("order", orderId),
  call("orderAudit", page),
  call("cancelOrder", orderId),
  call("editProfile", politeValue),
  call("endSession", politeValue),
  call("changePassword", some("wrong"), some("short")),
  ...administration,
];

const gatewayCalls = [
  call("login", some("bob"), password),
  call("getUserProfile", token),
  call("listUsers", token),
  call("findUser", token, some("bob")),
  call("createOrder", token, items, key),
  call("listOrders", token),
  call("listAllOrders", token, page),
  call("getOrder", token, orderId),
  call("cancelOrder", token, orderId),
  call("refresh", token),
  call("account", token),
  call("editProfile", token, politeValue),
  call("listRoles", token),
  call("status", token),
  // Of nobody, by nobody: the honest client beside has logins, a role and an account of the same shop.
  call("logout", some("none")),
  call("createUser", token, politeValue),
  call("disableUser", token, some("user99")),
  call("setRole", token, some("user99"), politeValue),
  call("setRolePermissions", token, some("nobody"), politeValue),
  ...myAccount,
];
const callsOf: Readonly<Record<FuzzTarget, readonly Call[]>> = {
  gateway: gatewayCalls,
  batch: gatewayCalls,
  users: [
    call("authenticate", some("bob"), password),
    call("getUser", some("user1")),
    call("getUserByToken", token),
    call("getUserByToken", token),
    call("refresh", token),
    call("account", token),
    ...account,
    call("listUsers"),
    call("findUser", some("bob")),
    ...home,
    ...user,
  ],
  orders: [
    call("createOrder", introduction, items, key),
    call("listOrders", introduction),
    call("listAllOrders", introduction, page),
    call("viewOrder", orderId, introduction),
    call("cancelOrder", orderId, introduction),
    call("getOrder", orderId),
    call("audit", introduction, page),
    ...[...OrderContract.methods.keys()].filter((name) => name !== "cancel").map((name) => call(name)),
    call("cancel", introduction),
    ...home,
  ],
};

function methodsOf({ methods }: { readonly methods: ReadonlyMap<string, unknown> }): string[] {
  return [...methods.keys()].filter((name) => !endsLogins.has(name));
}

/** The methods that `callsOf` should know; a test compares them. */
export const contractMethods: Readonly<Record<FuzzTarget, readonly string[]>> = {
  gateway: [...methodsOf(GatewayContract), ...methodsOf(MyAccountContract), ...methodsOf(AdministrationContract)],
  batch: [...methodsOf(GatewayContract), ...methodsOf(MyAccountContract), ...methodsOf(AdministrationContract)],
  users: [
    ...[...methodsOf(UserServiceContract), ...methodsOf(UserContract)],
    ...[...methodsOf(AccountContract), ...methodsOf(AdministrationContract)],
  ],
  orders: [...methodsOf(OrderServiceContract), ...methodsOf(OrderContract)],
};
export const fuzzedMethods = (target: FuzzTarget): Set<string> => new Set(callsOf[target].map(({ method }) => method));

export function fuzzCase(target: FuzzTarget, recordings: Recordings): Arbitrary<FuzzCase> {
  const recorded = recordings[target === "batch" ? "gateway" : target];
  // A stock peer sends no contexts, and in a batch a context is no message.
  const withoutContexts: string[] = recorded.filter((line) => !line.startsWith("{"));
  const isPublic = target === "gateway" || target === "batch";
  const framing: Arbitrary<FuzzCase["framing"]> =
    target === "batch" ? fc.constant("capnweb") : fc.constantFrom("capnweb", "flotilla.v1");
  return framing.chain((chosen) => {
    const replayed = fc.constant(chosen === "capnweb" ? withoutContexts : recorded.slice());
    const spoken = sessionLines(callsOf[target]).map((lines) =>
      chosen === "capnweb" ? lines.filter((line) => !line.startsWith('{"tp"')) : lines,
    );
    return fc.record({
      target: fc.constant(target),
      // Orders may not be served to itself.
      as:
        target === "orders"
          ? fc.constant("gateway" as const)
          : fc.constantFrom("gateway" as const, "gateway" as const, "orders" as const),
      framing: fc.constant(chosen),
      isCrowded: isPublic ? fc.nat(7).map((n) => n === 0) : fc.constant(false),
      lines: fc.oneof(
        { weight: 5, arbitrary: spoken },
        { weight: 2, arbitrary: mutated(spoken) },
        { weight: 3, arbitrary: mutated(replayed) },
      ),
      linesPerFrame: fc.constantFrom(1, 3, 100),
      ending: fc.constantFrom<FuzzCase["ending"]>("probe", "probe", "probe", "close", "wait", "cut"),
      timeoutMs: fc.constantFrom(0, 1, 100, 5_000, 5_000, 5_000, 5_000),
    });
  });
}
