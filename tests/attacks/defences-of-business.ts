import { boundary, type Defence, edit, noSchema } from "./defence.ts";

const file = "business.slow.test.ts";
const orders = "shop/orders/service.ts";
const prices = "shop/orders/order.ts";
const store = "shop/orders/store-sql.ts";
const office = "shop/users/administration.ts";

/** What the schema of `items` refuses, and then the domain. */
const anyLine = [
  noSchema,
  edit(
    prices,
    "  if (!Number.isInteger(quantity) || quantity < 1 || quantity > quantityMax) {",
    "  if (quantity === null) {",
  ),
];

export const defencesOfBusiness: readonly Defence[] = [
  {
    row: "B1",
    file,
    off: "whoever may view orders may view everybody's",
    edits: [
      edit(
        orders,
        "if (!order || (order.userId !== viewerId && !mayCancel)) throw notFound();",
        "if (!order || viewerId === String(mayCancel)) throw notFound();",
      ),
    ],
  },
  {
    row: "B1",
    file,
    off: "an order that is there and another's is told from one that is not there",
    edits: [
      edit(
        orders,
        "    if (!order || (order.userId !== viewerId && !mayCancel)) throw notFound();",
        '    if (!order) throw notFound();\n    if (order.userId !== viewerId && !mayCancel) throw new FlotillaError("permission_denied", viewRefusal);',
      ),
    ],
  },
  {
    row: "B1",
    file,
    off: "an order is looked for before the permission to cancel it is",
    edits: [
      edit(
        orders,
        "  const accountId = await authorise(user, deps, {\n",
        "  if (!(await store.byId(id))) throw notFound();\n  const accountId = await authorise(user, deps, {\n",
      ),
    ],
  },
  {
    row: "B1",
    file,
    off: "a session is ended by its id, whosever it is",
    edits: [
      edit(
        "shop/users/sql-logins.ts",
        '.where("sid", "=", sid).where("account_number", "=", numberOf(id));',
        '.where("sid", "=", sid);',
      ),
    ],
  },
  {
    row: "B2",
    file,
    off: "an item may have more in it than its contract says",
    edits: [noSchema],
  },
  {
    row: "B2",
    file,
    off: "arguments that a method does not have are ignored",
    edits: [edit(boundary, "if (args.length > params.length) throw", "if (args.length > 1_000) throw")],
  },
  {
    row: "B5",
    file,
    off: "a quantity is any number",
    edits: anyLine,
  },
  {
    row: "B6",
    file,
    off: "a key is not remembered",
    edits: [
      edit(
        "shop/orders/add-order.ts",
        "const { scope, key, requestHash } = idempotency;",
        "const { scope, requestHash } = idempotency;\n    const key = crypto.randomUUID();",
      ),
    ],
  },
  {
    row: "B6",
    file,
    off: "a key stands for whatever was asked with it first",
    edits: [edit(store, "    if (earlierHash !== order.idempotency.requestHash) throw refusals.keyUsed();\n")],
  },
  {
    row: "B6",
    file,
    off: "a key is everybody's",
    edits: [edit(orders, "scope: `$" + "{userId} createOrder`,", 'scope: "createOrder",')],
  },
  {
    row: "B11",
    file,
    off: "holding the administration is the permission",
    edits: [edit(office, "    if (missing) {", '    if (String(missing) === "never") {')],
  },
];
