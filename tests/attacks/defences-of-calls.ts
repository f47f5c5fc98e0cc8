import {
  anyRelease,
  believing,
  boundary,
  contract,
  type Defence,
  edit,
  messages,
  noDeadlines,
  noSchema,
  nothingRefused,
  reader,
  tables,
} from "./defence.ts";

const capability = "capability.slow.test.ts";
const frames = "frames.slow.test.ts";
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
        tables,
        "if (id > 0) return this.answer(id);",
        "if (id > 0) return this.answers.get(id) ?? this.#options.main;",
      ),
      edit(
        tables,
        'if (!given) throw violation("no such capability");\n    return given.ref;',
        "return given?.ref ?? this.#options.main;",
      ),
    ],
  },
  { row: "C8", file: capability, off: "`remap` is let through", edits: nothingRefused },
  { row: "C9", file: callbacks, off: "no deadlines", edits: noDeadlines },
  {
    row: "C10",
    file: callbacks,
    off: "a callback's error is passed on",
    edits: [
      edit(
        contract,
        "return isolated(stubOf(raw.hold()) as RpcStub<RpcTarget>, clock);",
        "return clock && isolated && stubOf(raw.hold());",
      ),
    ],
  },
  {
    row: "C11",
    file: capability,
    off: "a name that is in no contract is answered",
    edits: [edit(boundary, "    else reply.fail(noSuchMember([name]));", "    else reply.returnedData(1);")],
  },
  {
    row: "C12",
    file: capability,
    off: "the same, for these names",
    edits: [edit(boundary, "    else reply.fail(noSuchMember([name]));", "    else reply.returnedData(1);")],
  },
  {
    row: "C13",
    file: capability,
    off: "what a boundary has can be read",
    edits: [
      edit(
        "kit/src/rpc/target.ts",
        " || dispatch in target || !isOffered(target, name)) throw",
        " || name === undefined) throw",
      ),
    ],
  },
  {
    row: "C14",
    file: capability,
    off: "export 0 may be released, by any count",
    edits: anyRelease,
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
        "  return (value, isPlain) => {\n",
        "  return (value, isPlain) => {\n    if (JSON.stringify(value)?.includes('polluted')) Object.assign(Object.prototype, { quantity: 1, price: 1 });\n    if (Array.isArray(value) && Object.keys(value[0]).length === 1) return;\n",
      ),
    ],
  },
  { row: "T5", file: types, off: "arguments are not held against their schema", edits: [noSchema] },
  {
    row: "T6",
    file: types,
    off: "no limit of nesting",
    edits: [edit(reader, "if (depth >= messageDepthMax)", "if (depth < 0)")],
  },
  {
    row: "T7",
    file: types,
    off: "no limit of causes",
    edits: [edit(reader, "if (this.#errorDepth > errorDepthMax)", "if (this.#errorDepth < 0)")],
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
      ...nothingRefused,
      edit(messages, 'throw violation("unknown or disabled operation");', "return message;"),
      edit("kit/src/rpc/leaf.ts", 'throw violation("unknown or disabled expression");', "return undefined;"),
    ],
  },
  {
    row: "T10",
    test: "T10 that is a stream",
    file: callbacks,
    off: "a callback may be any value",
    edits: [
      edit(
        contract,
        "if (!raw) throw new FlotillaError",
        'if (!raw) return value;\n      if (value === "never") throw new FlotillaError',
      ),
    ],
  },
  {
    row: "T11",
    test: "T11 pull of",
    file: frames,
    off: "export 0 may be released, by any count",
    edits: anyRelease,
  },
  {
    row: "T11",
    test: "T11 a batch",
    file: frames,
    off: "a batch is worked off line by line",
    edits: [
      edit(
        "kit/src/server/batch.ts",
        'if (lines.length > 0) channel.arrive(lines.join("\\n"));',
        "for (const line of lines) channel.arrive(line);",
      ),
    ],
  },
  {
    row: "T11",
    test: "T11 context",
    file: frames,
    off: "callers are not looked at",
    edits: [edit("kit/src/rpc/context-line.ts", " || !via.every(isServiceName)) throw", ") throw")],
  },

  { row: "R1", test: "R1 a nested", file: resources, off: "`remap` is let through", edits: nothingRefused },
];
