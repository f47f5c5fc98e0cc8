import { expect, test } from "vitest";
import { AdministrationContract } from "../contracts/administration.ts";
import { GatewayContract, MyAccountContract } from "../contracts/gateway.ts";
import type { CommandSpec } from "./command.ts";
import { allCommands, entries } from "./commands.ts";

const tree = await allCommands();
const everything = tree.flatMap((spec) => withChildren(spec, spec.name));
const leaves = everything.filter(({ spec }) => !spec.commands);

function withChildren(spec: CommandSpec, path: string): { spec: CommandSpec; path: string }[] {
  return [{ spec, path }, ...(spec.commands ?? []).flatMap((it) => withChildren(it, `${path} ${it.name}`))];
}

/** The same by a token and by an account: a command takes the one that asks less of the services. */
const sameAs: Readonly<Record<string, string>> = {
  "Account.profile": "ApiGateway.getUserProfile",
  "Account.editProfile": "ApiGateway.editProfile",
  "Account.orders": "ApiGateway.listOrders",
  "Account.allOrders": "ApiGateway.listAllOrders",
  "Account.createOrder": "ApiGateway.createOrder",
  "Account.order": "ApiGateway.getOrder",
  "Account.cancelOrder": "ApiGateway.cancelOrder",
  "Account.logout": "ApiGateway.logout",
  "Administration.createUser": "ApiGateway.createUser",
  "Administration.disableUser": "ApiGateway.disableUser",
  "Administration.setRole": "ApiGateway.setRole",
  "Administration.listRoles": "ApiGateway.listRoles",
  "Administration.setRolePermissions": "ApiGateway.setRolePermissions",
};

const methods = [GatewayContract, MyAccountContract, AdministrationContract].flatMap(({ name, methods: own }) =>
  [...own].map(([method, { returns }]) => ({ method: `${name}.${method}`, isWayOnly: returns !== undefined })),
);
const called = new Set(leaves.flatMap(({ spec }) => spec.calls ?? []));

test("every method of the gateway's contracts has a command, and every command names methods that are there", () => {
  // What returns a capability is the way to its methods.
  const wanted = methods.filter(({ isWayOnly }) => !isWayOnly).map(({ method }) => method);
  expect(wanted.filter((method) => !called.has(sameAs[method] ?? method))).toEqual([]);
  const known = methods.map(({ method }) => method);
  expect([...called, ...Object.keys(sameAs)].filter((method) => !known.includes(method))).toEqual([]);
});

test("each level has a summary without a dot and examples of itself", () => {
  for (const { spec, path } of everything) {
    expect(spec.summary, path).toMatch(/^[A-Z].*[^.]$/);
    expect(spec.examples.length, path).toBeGreaterThan(0);
    for (const example of spec.examples) expect(example, path).toContain(`flotilla ${path}`);
    expect(spec.commands !== undefined || spec.run !== undefined, path).toBe(true);
  }
});

test("the list of commands shows each as it is called", () => {
  expect(entries.map(({ name, summary }) => [name, summary])).toEqual(tree.map(({ name, summary }) => [name, summary]));
});

test("options that take a secret do not exist", () => {
  const flags = leaves.flatMap(({ spec }) => (spec.options ?? []).map((option) => option.flags));
  expect(flags.filter((flag) => /(password|token|secret)\b.*</i.test(flag))).toEqual([]);
});
