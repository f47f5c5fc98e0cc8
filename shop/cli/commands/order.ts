import { randomUUID } from "node:crypto";
import type { ListedOrder, OrderEntry, OrderPage, ViewedOrder } from "../../contracts/orders.ts";
import { advised, toCliError } from "../cli-error.ts";
import type { CommandSpec, Context, Input } from "../command.ts";
import { findUser, userSummary } from "../find-user.ts";
import { money } from "../format.ts";
import { readItems } from "../items.ts";
import { fields, lines, type Printable, say, table } from "../text.ts";
import { parseCount } from "../times.ts";

const create: CommandSpec = {
  name: "create",
  summary: "Place an order",
  about:
    "Each order has a key, by which it is placed once however often the command is repeated with it. One that was lost on\n" +
    "the way is repeated with its key until --timeout is over.",
  args: [["[item...]", "NAME:QUANTITY:PRICE of each, the price of one piece"]],
  options: [
    { flags: "--items <file>", summary: "a JSON array of { name, quantity, price } instead; - for standard input" },
    { flags: "--idempotency-key <key>", summary: "1 to 128 printable characters; default: a new one" },
  ],
  examples: [
    "flotilla order create Laptop:1:999.99 Mouse:2:29.99",
    "flotilla order create --items order.json --idempotency-key invoice-4711",
  ],
  calls: ["ApiGateway.createOrder"],
  async run({ terminal, prompt, shop }, { args, options }) {
    const [words = []] = args as [readonly string[] | undefined];
    const items = await readItems(words, options.items as string | undefined, prompt);
    const key = (options.idempotencyKey as string | undefined) ?? randomUUID();
    terminal.detail(say`Idempotency key: ${key}`);
    const order = await shop
      .callAs((gateway, token) => gateway.createOrder(token, items, key))
      .catch((thrown) => {
        const error = toCliError(thrown);
        const isUnsure = error.code === "deadline_exceeded" || error.code === "unavailable";
        throw isUnsure
          ? advised(error, `It may have been placed. To be sure, repeat it with \`--idempotency-key ${key}\``)
          : error;
      });
    terminal.result({ ...order, idempotencyKey: key }, () => {
      if (terminal.quiet) return say`${order.orderId}`;
      const { paint } = terminal;
      const pairs = { order: order.orderId, total: money(order.total), status: order.status };
      return say`${paint("green", "✓")} Order placed\n${fields(pairs, paint)}`;
    });
  },
};

const list: CommandSpec = {
  name: "list",
  summary: "List your orders, or everybody's, the oldest first",
  about: "Orders of others take the permission order.cancel, and to list them leaves an entry in the audit trail.",
  options: [
    { flags: "-n, --limit <count>", summary: "the newest so many, 1 to 1000 (default: 50)" },
    { flags: "--before <order>", summary: "only orders older than this one" },
    { flags: "--all", summary: "everybody's orders" },
    { flags: "--user <user>", summary: `this user's orders: ${userSummary}` },
  ],
  examples: [
    "flotilla order list",
    "flotilla order list --limit 10 --before order41",
    "flotilla order list --all",
    "flotilla order list --user bob --json",
  ],
  calls: ["ApiGateway.listOrders", "ApiGateway.listAllOrders", "ApiGateway.findUser"],
  async run({ terminal, shop }, { options }) {
    const page = pageOf(options);
    const user = options.user as string | undefined;
    const whose = user === undefined ? {} : { userId: (await findUser(shop, user)).id };
    const isOfOthers = options.all === true || user !== undefined;
    const orders: readonly Row[] = await shop.callAs((gateway, token) =>
      isOfOthers ? gateway.listAllOrders(token, { ...page, ...whose }) : gateway.listOrders(token, page),
    );
    const { paint, quiet } = terminal;
    terminal.result(orders, () => {
      if (quiet) return lines(orders.map(({ orderId }) => orderId));
      const columns = isOfOthers ? [...listColumns, userColumn] : listColumns;
      return orders.length === 0 ? "" : table(orders, columns, { paint, titles: true });
    });
    const [oldest] = orders;
    if (oldest && orders.length === page.limit) {
      const which = user === undefined ? (isOfOthers ? say` --all` : say``) : say` --user ${user}`;
      terminal.note(say`There may be older ones: flotilla order list${which} --before ${oldest.orderId}`);
    } else if (!oldest && page.before) terminal.note(say`No older orders`);
    else if (!oldest && isOfOthers) terminal.note(say`No orders yet`);
    else if (!oldest) terminal.note(say`No orders yet; place one with \`flotilla order create\``);
  },
};

const show: CommandSpec = {
  name: "show",
  summary: "Show an order of yours, or anybody's if you may cancel it",
  args: [["<order>", "its id"]],
  examples: ["flotilla order show order1", "flotilla order show order1 --json"],
  calls: ["ApiGateway.getOrder"],
  advice: { not_found: "`flotilla order list` shows yours" },
  async run({ terminal, shop }, { args }) {
    const [orderId] = args as [string];
    const order = await shop.callAs((gateway, token) => gateway.getOrder(token, orderId));
    terminal.result(order, () => orderText(order, terminal));
  },
};

const cancel: CommandSpec = {
  name: "cancel",
  summary: "Cancel an order, which takes the permission order.cancel",
  about: "Cancelling an order twice is no error.",
  args: [["<order>", "its id"]],
  examples: ["flotilla order cancel order1"],
  calls: ["ApiGateway.cancelOrder"],
  advice: { not_found: "`flotilla order list` shows yours" },
  async run({ terminal, shop }, { args }) {
    const [orderId] = args as [string];
    const order = await shop.callAs((gateway, token) => gateway.cancelOrder(token, orderId));
    terminal.result(order, () =>
      terminal.quiet ? "" : say`${terminal.paint("green", "✓")} Order ${order.orderId} is ${order.status}`,
    );
  },
};

export const order: CommandSpec = {
  name: "order",
  summary: "Place, list, show and cancel orders",
  examples: [
    "flotilla order create Laptop:1:999.99 Mouse:2:29.99",
    "flotilla order list",
    "flotilla order show order1",
  ],
  commands: [create, list, show, cancel],
};

function pageOf({ limit, before }: Input["options"]): OrderPage & { limit: number } {
  const count = limit === undefined ? 50 : parseCount("--limit", limit as string, { max: 1_000 });
  return { limit: count, ...(before !== undefined && { before: before as string }) };
}

type Row = OrderEntry & Partial<ListedOrder>;
const listColumns = [
  { title: "ORDER", of: (it: Row) => it.orderId },
  { title: "TOTAL", align: "right", of: (it: Row) => money(it.total) },
  { title: "STATUS", of: (it: Row) => it.status },
] as const;
const userColumn = { title: "USER", of: (it: Row) => it.userId ?? "" };

function orderText(order: ViewedOrder, { paint, quiet }: Context["terminal"]): Printable {
  const pairs = { order: order.orderId, user: order.userId, status: order.status, total: money(order.total) };
  const items = table(order.items, itemColumns, { paint, titles: !quiet });
  return say`${fields(pairs, paint)}\n\n${items}`;
}

type Item = ViewedOrder["items"][number];
const itemColumns = [
  { title: "ITEM", of: (it: Item) => it.name },
  { title: "QUANTITY", align: "right", of: (it: Item) => String(it.quantity) },
  { title: "PRICE", align: "right", of: (it: Item) => money(it.price) },
] as const;
