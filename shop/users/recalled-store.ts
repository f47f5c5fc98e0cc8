import type { Home } from "@flotilla/kit";
import type { Rotated, UserStore } from "./store.ts";

type Changes = boolean | ((result: never) => boolean);

/** Whether somebody may have another permission after a method of the store, or none: always, never, or by what it returned. */
const changes: Readonly<Record<keyof UserStore, Changes>> = {
  setEnabled: true,
  setRole: true,
  setRolePermissions: true,
  deleteAccount: true,
  changePassword: true,
  endLogin: true,
  endLogins: true,
  openLogin: (opened: Awaited<ReturnType<UserStore["openLogin"]>>) => (opened?.ended.length ?? 0) > 0,
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
 * taken it back. Also when the change failed, since nobody can tell what came of a store that broke down.
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
        isNeeded = changed === true || changed(result as never);
        return result;
      } finally {
        if (isNeeded) await home.recall();
      }
    };
  }
}
