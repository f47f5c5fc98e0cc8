import { isAbsolute, join } from "node:path";
import { FlotillaError, type Home, type Implementation, type Peer, type RpcTarget } from "@flotilla/kit";
import { type Operations, OperationsContract, operatorName, type StoreCopy } from "../contracts/operations.ts";
import type { StoreFile } from "./database.ts";

/** A call waits so long for the copy, far below its deadline; then it is asked again. Milliseconds. */
const waitMs = 2_000;

/** The operator's facet of a service for its peers; undefined for everybody else. One for all sessions of the service. */
export function makeOperations(name: string, store: StoreFile): (peer: Peer, home: Home) => RpcTarget | undefined {
  const operations = new OperationsTarget(`${name}.db`, store);
  return (peer, home) => {
    if (peer.kind !== "service" || peer.name !== operatorName) return undefined;
    return home.main(OperationsContract, operations, peer);
  };
}

class OperationsTarget implements Implementation<Operations> {
  readonly #fileName: string;
  readonly #store: StoreFile;
  #copy: { readonly directory: string; readonly done: Promise<void>; isOver: boolean } | undefined;

  constructor(fileName: string, store: StoreFile) {
    this.#fileName = fileName;
    this.#store = store;
  }

  async copyStore(directory: string): Promise<StoreCopy> {
    if (this.#copy?.directory !== directory) this.#begin(directory);
    const { done } = this.#copy!;
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), waitMs);
    try {
      return { isDone: await Promise.race([done.then(() => true), late.promise]), file: this.#fileName };
    } catch (error) {
      this.#copy = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(directory: string): void {
    const { copyTo } = this.#store;
    if (!copyTo) {
      const message = "This store is no file: back it up with the tools of its database, such as pg_dump";
      throw new FlotillaError("failed_precondition", message, { reason: "store_elsewhere" });
    }
    if (!isAbsolute(directory)) throw new FlotillaError("invalid_argument", "directory is an absolute path");
    if (this.#copy && !this.#copy.isOver) {
      throw new FlotillaError("resource_exhausted", "Another copy of this store is being made");
    }
    const done = copyTo.call(this.#store, join(directory, this.#fileName));
    const copy = { directory, done, isOver: false };
    const over = () => {
      copy.isOver = true;
    };
    done.then(over, over);
    this.#copy = copy;
  }
}
