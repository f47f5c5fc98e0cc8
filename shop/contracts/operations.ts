import { arg, contract, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";

/**
 * Under which name those who run the system call its services: whoever has the directory of keys has this name's key as
 * well as every service's, so it gives nobody anything that the files did not.
 */
export const operatorName = "operator";

/** How far a copy is. */
export interface StoreCopy {
  readonly isDone: boolean;
  /** The name of the copy within the directory. */
  readonly file: string;
}

/** What an operator is given by a service that has a store. */
export interface Operations extends RpcTarget {
  /**
   * Begins to copy the store, as it is at one moment after this call, to a new file in `directory`, an absolute path on
   * the service's machine; asked again, waits for a while and says how far it is. Throws `failed_precondition`, reason
   * `store_elsewhere`, when the store is no file; `already_exists` when the copy would replace a file;
   * `resource_exhausted` while another copy is made; `unavailable` when the disk is full or failing.
   */
  copyStore(directory: string): StoreCopy;
}

export const OperationsContract = contract<Operations>("Operations", {
  copyStore: { params: [arg("directory", Type.String({ minLength: 1, maxLength: 4_096 }))] },
});
