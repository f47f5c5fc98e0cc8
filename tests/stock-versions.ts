// The releases of capnweb that ours is held against.
import * as newest from "capnweb";
import * as older from "capnweb-0.8";

/** One release of capnweb. */
export interface StockVersion {
  readonly version: "0.12" | "0.8";
  /** The folder in node_modules. */
  readonly folder: string;
  /** The package. An older one is typed as the newest, and its tests use only the part that both have. */
  readonly stock: typeof newest;
  /** Whether it has a notation for a value of the kind of `value`, looking at no member. */
  carries(value: unknown): boolean;
}

export const newestStock: StockVersion = { version: "0.12", folder: "capnweb", stock: newest, carries: () => true };

export const olderStock: StockVersion = {
  version: "0.8",
  folder: "capnweb-0.8",
  stock: older as unknown as typeof newest,
  // Other bytes came in 0.11, and so did URLs.
  carries: (value) => value instanceof Uint8Array || !(isBinary(value) || value instanceof URL),
};

export const stockVersions: readonly StockVersion[] = [newestStock, olderStock];

const isBinary = (value: unknown) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
