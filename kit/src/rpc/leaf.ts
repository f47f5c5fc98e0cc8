import { violation } from "../transport/refusals.ts";
import { readBytes } from "./bytes.ts";

/** Its digits are read in the square of their number. */
const bigint = /^-?[0-9]{1,16384}$/;

/** Reads an expression that holds no other. @throws FlotillaError a violation of the protocol. */
export function readLeaf(value: readonly unknown[]): unknown {
  const [tag, content] = value;
  switch (tag) {
    case "undefined":
    case "inf":
    case "-inf":
    case "nan":
      if (value.length > 1) throw violation(`bad ${tag}`);
      return constants[tag];
    case "bigint":
      if (typeof content !== "string" || !bigint.test(content)) throw violation("bad bigint");
      return BigInt(content);
    case "date":
      if (typeof content !== "number" && content !== null) throw violation("bad date");
      return new Date(content ?? Number.NaN);
    case "bytes":
      return readBytes(value);
    case "url": {
      const url = typeof content === "string" && value.length === 2 ? URL.parse(content) : null;
      if (!url) throw violation("bad url");
      return url;
    }
    default:
      throw violation("unknown or disabled expression");
  }
}
const constants = {
  undefined,
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
  nan: Number.NaN,
};
