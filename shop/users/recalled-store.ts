import { type ErrorCode, FlotillaError, type Home } from "@flotilla/kit";
import type { Actor } from "../service/audit.ts";
import type { Opened, Rotated, UserStore } from "./store.ts";

type Changes = boolean | ((result: never, ...args: never[]) => boolean);

/** Whether a method of the store changes or ends what somebody may do: always, never, or depending on its result. */
const changes: Readonly<Record<keyof UserStore, Changes>> = {
  setEnabled: true,
  setRole: true,
  setRolePermissions: true,
  deleteAccount: true,
  changePassword: true,
  endLogin: true,
  endLogins: true,
  // A login that ended by itself had no answers any more that counted.
  openLogin: (opened: Opened | undefined, _login: unknown, { nowMs }: Actor) =>
    opened?.ended.some(({ idleEndsAtMs, endsAtMs }) => Math.min(idleEndsAtMs, endsAtMs) > nowMs) ?? false,
  rotate: (rotated: Rotated) => rotated.kind === "reused",
  // Nobody has what is new, and what somebody has cannot be deleted.
  addAccount: false,
  createRole: false,
  deleteRole: false,
  setEmail: false,
  accountByName: false,
  accountById: false,
  listAccounts: false,
  count: false,
  standing: false,
  useLogin: false,
  listLogins: false,
  refuseLogin: false,
  listRoles: false,
  refuse: false,
  noteIntroduction: false,
  audit: false,
  purgeAudit: false,
  publishKey: false,
  withdrawKey: false,
  publishedKeys: false,
  isWritable: false,
  copyTo: false,
  close: false,
};

type Method = (...args: unknown[]) => Promise<unknown>;

/**
 * `store`, whose changes of what somebody may do are answered once nobody goes by an earlier `hasPermission`: `home` has
 * taken it back. Also when the store broke down in the change, since nobody can tell what came of it.
 */
export function recalled(store: UserStore, home: Pick<Home, "recall">): UserStore {
  const methods = Object.entries(store) as [keyof UserStore, Method][];
  return Object.fromEntries(methods.map(([name, method]) => [name, following(method, changes[name])])) as never;

  function following(method: Method, changed: Changes): Method {
    if (changed === false) return method;
    return async (...args) => {
      let isNeeded = true;
      try {
        const result = await method(...args);
        isNeeded = changed === true || changed(result as never, ...(args as never[]));
        return result;
      } catch (error) {
        isNeeded = !isRefusal(error);
        throw error;
      } finally {
        if (isNeeded) await home.recall();
      }
    };
  }
}

/** By these codes a store says that it has changed nothing. */
const refusalCodes: ReadonlySet<ErrorCode> = new Set([
  ...(["invalid_argument", "already_exists", "not_found", "failed_precondition", "resource_exhausted"] as const),
]);

function isRefusal(error: unknown): boolean {
  return error instanceof FlotillaError && refusalCodes.has(error.code);
}
