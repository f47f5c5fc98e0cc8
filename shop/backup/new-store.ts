import { join, resolve } from "node:path";
import { FlotillaError } from "@flotilla/kit";
import { openDataDirectory } from "../service/data-directory.ts";
import { markerFileOf } from "../service/store-marker.ts";
import { lockDataDirectory } from "../supervisor/lock.ts";
import { type StoredService, storedServices } from "./backup.ts";
import { namesIn } from "./files.ts";
import { assertUnused, moveAside } from "./restore.ts";

export interface BeginAnew {
  readonly dataDir: string;
  readonly services: readonly string[];
}

/**
 * Moves what is left of the stores of `services` aside, with the markers of their earlier starts: so their next start is
 * a first one.
 *
 * @returns where it is now.
 * @throws FlotillaError `invalid_argument` for a service without a store; `not_found` when nothing of them is there;
 *   `failed_precondition` for users without orders; `unavailable`, reason `store_in_use`, while one runs there.
 * @throws StartError while a whole system runs there.
 */
export function beginAnew({ dataDir, services }: BeginAnew): string {
  const names = [...new Set(services.map(asStored))];
  const target = resolve(dataDir);
  const leftOf = (name: StoredService) =>
    namesIn(target).filter(
      (file) => file.startsWith(`${name}.db`) || markerFileOf(target, name) === join(target, file),
    );
  const left = names.flatMap(leftOf);
  if (left.length === 0) throw new FlotillaError("not_found", `${target} has no store of ${names.join(" or ")}`);
  // SECURITY: users are numbered from 1 again, and would find the orders of those who had the numbers before.
  if (names.includes("users") && !names.includes("orders") && leftOf("orders").length > 0) {
    const message = "New users would get the ids, and with them the orders, of the earlier ones: name orders too";
    throw new FlotillaError("failed_precondition", message, { reason: "orders_left" });
  }
  const lock = lockDataDirectory(target);
  try {
    openDataDirectory(target);
    for (const name of left) if (name.endsWith(".db")) assertUnused(join(target, name));
    return moveAside(target, left);
  } finally {
    lock.release();
  }
}

function asStored(name: string): StoredService {
  const found = storedServices.find((it) => it === name);
  if (found) return found;
  throw new FlotillaError(
    "invalid_argument",
    `${JSON.stringify(name)} has no store: ${storedServices.join(" and ")} do`,
  );
}
