import { FlotillaError } from "../base/errors.ts";

/** The error for a part of Cap'n Web that is not offered, or not where it stands. */
export function notOffered(what: string): FlotillaError {
  return new FlotillaError("unimplemented", `Not offered here: ${names[what] ?? what}`);
}
const names: Readonly<Record<string, string>> = {
  promise: "a promise as an argument, or inside of a value",
  remap: "map",
  blob: "Blob",
  readable: "ReadableStream",
  writable: "WritableStream",
  headers: "Headers",
  request: "Request",
  response: "Response",
};
