import {
  believing,
  boundary,
  check,
  contract,
  type Defence,
  edit,
  mapAllowed,
  noDeadlines,
  noSchema,
  transport,
} from "./defence.ts";

const capability = "capability.slow.test.ts";
const types = "types.slow.test.ts";
const resources = "resources.timing.test.ts";
const callbacks = "callbacks.test.ts";

export const defencesOfCalls: readonly Defence[] = [
  { row: "C1", file: capability, off: "a live stub is believed in place of an introduction", edits: believing },
  { row: "C2", file: capability, off: "the same, looked for in the fields too", edits: believing },
  { row: "C3", file: capability, off: "the same", edits: believing },
  {
    row: "C4",
    file: capability,
    off: "every role is allowed everything",
    edits: [
      edit(
        "shop/users/user.ts",
        "return isPermission(permission) && permissions.includes(permission);",
        "return isPermission(permission) && permissions.length > 0;",
      ),
    ],
  },
  { row: "C5", file: capability, off: "a live stub is believed in place of an introduction", edits: believing },
  {
    row: "C7",
    file: capability,
    off: "an id that is unknown leads to the main object",
    edits: [
      edit(
        transport,
        "    checkMessage(message, budget, limits);\n",
        '    if (Array.isArray(message) && message[0] === "push" && message[1]?.[1] !== 0 && !budget.calls.has(message[1]?.[1])) message[1] = ["pipeline", 0, [], []];\n    checkMessage(message, budget, limits);\n',
      ),
    ],
  },
  { row: "C8", file: capability, off: "`remap` is let through", edits: [mapAllowed] },
  { row: "C9", file: callbacks, off: "no deadlines", edits: noDeadlines },
  {
    row: "C10",
    file: callbacks,
    off: "a callback's error is passed on",
    edits: [
      edit(
        contract,
        "return isolated(own as RpcStub<RpcTarget>, { clock, isHome });",
        "return clock && isolated && own;",
      ),
    ],
  },
  {
    row: "C11",
    file: capability,
    off: "the class has one more method than its contract",
    edits: [
      edit(
        boundary,
        "  class Boundary extends RpcTarget {\n",
        "  class Boundary extends RpcTarget {\n    deps() {\n      return 1;\n    }\n",
      ),
    ],
  },
  {
    row: "C12",
    file: capability,
    off: "the class has a method of one of these names",
    edits: [
      edit(
        boundary,
        "  class Boundary extends RpcTarget {\n",
        "  class Boundary extends RpcTarget {\n    dup() {\n      return 1;\n    }\n",
      ),
    ],
  },
  {
    row: "C13",
    file: capability,
    off: "the environment is a getter",
    edits: [
      edit(
        boundary,
        "  class Boundary extends RpcTarget {\n",
        "  class Boundary extends RpcTarget {\n    get env() {\n      return 1;\n    }\n",
      ),
    ],
  },
  {
    row: "C14",
    file: capability,
    off: "export 0 may be released, by any count",
    edits: [
      edit(check, "!isId(id) || id === 0", "!isId(id)"),
      edit(check, "!isId(message[2]) || message[2] < 1", "!isId(message[2])"),
    ],
  },
  {
    row: "C15",
    file: capability,
    off: "what an id gives can be introduced",
    edits: [edit("shop/contracts/users.ts", "returns: UserContract }", "returns: introducible(UserContract) }")],
  },

  { row: "T1", file: types, off: "arguments are not held against their schema", edits: [noSchema] },
  { row: "T2", file: types, off: "the same", edits: [noSchema] },
  {
    row: "T3",
    file: types,
    off: "neither the schema nor the domain looks at numbers",
    edits: [
      noSchema,
      edit(
        "shop/orders/order.ts",
        "!Number.isInteger(quantity) || quantity < 1 || quantity > quantityMax",
        "quantity === undefined",
      ),
      edit(
        "shop/orders/order.ts",
        "priceMinor === undefined || priceMinor > priceMinorMax",
        "priceMinor === undefined",
      ),
    ],
  },
  {
    row: "T4",
    file: types,
    off: "an argument's keys are merged into a prototype",
    edits: [
      edit(
        "kit/src/capability/schema.ts",
        "  return (value) => {\n",
        "  return (value) => {\n    if (JSON.stringify(value)?.includes('polluted')) Object.assign(Object.prototype, { quantity: 1, price: 1 });\n    if (Array.isArray(value) && Object.keys(value[0]).length === 1) return;\n",
      ),
    ],
  },
  { row: "T5", file: types, off: "arguments are not held against their schema", edits: [noSchema] },
  {
    row: "T6",
    file: types,
    off: "no limit of nesting",
    edits: [edit(check, "if (depth >= limits.messageDepthMax) throw", "if (depth < 0) throw")],
  },
  {
    row: "T7",
    file: types,
    off: "no limit of causes",
    edits: [edit(check, "if (errorDepth > limits.errorDepthMax) throw", "if (errorDepth < 0) throw")],
  },
  {
    row: "T8",
    file: types,
    off: "a text need not be well-formed",
    edits: [edit("shop/orders/order.ts", " || !name.isWellFormed()")],
  },
  {
    row: "T9",
    file: types,
    off: "a username is looked up by LIKE",
    edits: [
      edit(
        "shop/users/sql-accounts.ts",
        'db.read(present(build).where("username", "=", username))',
        'db.read(present(build).where("username", "like", username))',
      ),
    ],
  },
  {
    row: "T10",
    test: "T10 a stream",
    file: types,
    off: "unknown operations and expressions are let through",
    edits: [
      edit(check, 'throw violation("unknown or disabled operation");', "return;"),
      edit(check, 'throw violation("unknown or disabled expression");', "return nothing;"),
    ],
  },
  {
    row: "T10",
    test: "T10 that is a stream",
    file: callbacks,
    off: "a callback may be any value",
    edits: [edit(contract, "if (!(value instanceof RpcStub)) throw", 'if (value === "never") throw')],
  },
  {
    row: "T11",
    test: "T11 pull of",
    file: types,
    off: "export 0 may be released, by any count",
    edits: [
      edit(check, "!isId(id) || id === 0", "!isId(id)"),
      edit(check, "!isId(message[2]) || message[2] < 1", "!isId(message[2])"),
    ],
  },
  {
    row: "T11",
    test: "T11 a batch",
    file: types,
    off: "a batch is not looked through before it runs",
    edits: [edit("kit/src/session/batch.ts", "    checkBatch(lines, limits);\n")],
  },
  {
    row: "T11",
    test: "T11 context",
    file: types,
    off: "callers are not looked at",
    edits: [
      edit("kit/src/transport/envelope.ts", '  if (!via.every(isServiceName)) throw violation("bad context");\n'),
    ],
  },

  { row: "R1", test: "R1 a nested", file: resources, off: "`remap` is let through", edits: [mapAllowed] },
];
