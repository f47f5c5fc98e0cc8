import { FlotillaError } from "../base/errors.ts";

/** What Cap'n Web has and is not offered here, or not there. */
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
