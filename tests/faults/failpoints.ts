import { type Connection, connect } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { ServiceName } from "../../shop/topology.ts";
import type { Failpoint } from "../process/failpoint.ts";
import { startProcesses, until } from "../process-harness.ts";
import { type Intent, violations } from "./history.ts";
import { ratesMax } from "./kills.ts";

export interface KillPoint extends Failpoint {
  readonly service: ServiceName;
}

type Step = readonly [ServiceName, Failpoint["at"], text: string, ...when: Failpoint["when"][]];

/**
 * The first order of a login, frame by frame and statement by statement (ARCHITECTURE.md has the picture). Where one is left out,
 * `before` it is `after` its neighbour, or a frame that comes in and is not read.
 */
const steps: readonly Step[] = [
  ["gateway", "in", "createOrder", "before"],
  ["gateway", "out", "deposit", "before", "after"],
  ["gateway", "out", "createOrder", "after"],
  ["users", "in", "deposit", "before"],
  ["orders", "in", "createOrder", "before"],
  ["orders", "out", "withdraw", "before", "after"],
  ["users", "in", "withdraw", "before"],
  ["users", "in", "hasPermission", "before"],
  ["users", "out", "resolve", "before", "after"],
  ["orders", "in", "resolve", "before"],
  ["orders", "sql", "BEGIN", "before", "after"],
  ["orders", "sql", 'insert into "orders"', "after"],
  ["orders", "sql", 'insert into "order_lines"', "after"],
  ["orders", "sql", 'insert into "idempotency_records"', "after"],
  ["orders", "sql", "COMMIT", "before", "after"],
  ["orders", "out", "pending", "before", "after"],
  ["gateway", "in", "pending", "before"],
  ["gateway", "out", "pending", "before", "after"],
];
export const killPoints: readonly KillPoint[] = steps.flatMap(([service, at, text, ...whens]) =>
  whens.map((when) => ({ service, at, text, when, occurrence: 1 })),
);

export interface StepReport {
  /** How each first attempt ended, in the order of the points: by the id of an order, or by the code of an error. */
  readonly heard: readonly string[];
  /** See `violations`; and what was heard that is not so. */
  readonly violations: readonly string[];
}

/**
 * Places an order for each of `points`, by a new login, while a service is killed there; starts that again, and asks for the same
 * order with the same key.
 */
export async function killAtSteps(points: readonly KillPoint[], onStep = (_done: number) => {}): Promise<StepReport> {
  await using shop = await startProcesses({ env: ratesMax });
  using bob = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const intents: Intent[] = [];
  const heard: string[] = [];
  const found: string[] = [];
  for (const { service, ...point } of points) {
    await until(() => bob.opened().then(yes, no), "the gateway is reached");
    const { token } = await bob.main.login("bob", "password");
    const number = intents.length + 1;
    const key = crypto.randomUUID();
    const place = () => placeOne(bob, { token, number, key });
    await shop.arm(service, point);
    const first = await place();
    await shop.ended(service);
    await shop.start(service);
    await shop.ready();
    let again = "";
    await until(async () => {
      again = await place();
      return isId(again);
    }, "the order is placed");
    heard.push(first);
    // Who was told that it is there was told so after it was.
    if (isId(first) && again !== first)
      found.push(`order ${number} was acknowledged as ${first}, and then as ${again}`);
    intents.push({ number, startedAtMs: 0, attempts: 2, acknowledged: { orderId: again, atMs: 0 } });
    onStep(intents.length);
  }
  const { token } = await bob.main.login("bob", "password");
  found.push(...violations({ intents, errors: new Map() }, await bob.main.listOrders(token)));
  return { heard, violations: found };
}

const yes = () => true;
const no = () => false;
const isId = (heard: string) => heard.startsWith("order");

/** @returns its id, or the code of the error. */
function placeOne(
  bob: Connection<Gateway>,
  { token, number, key }: { token: string; number: number; key: string },
): PromiseLike<string> {
  return bob.main.createOrder(token, [{ name: "Step", quantity: 1, price: number / 100 }], key).then(
    ({ orderId }) => orderId,
    (error: unknown) => String((error as { code?: unknown }).code),
  );
}
