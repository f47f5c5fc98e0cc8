import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { FlotillaError } from "../base/errors.ts";

/** Where instances are written down, each under a key that begins with `prefix`. */
export interface EtcdPlace {
  /** `http://host:port` of a member's client address. */
  readonly url: string;
  readonly prefix: string;
}

/** 128 entries are 40 KB. Bytes. */
const answerBytesMax = 1024 * 1024;

/** Asks etcd's JSON gateway. @throws FlotillaError `unavailable` for anything but a JSON object in an answer of 200. */
export function askEtcd(
  { url }: EtcdPlace,
  path: string,
  question: object,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const body = JSON.stringify(question);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const target = new URL(path, url);
  const request = target.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    // A connection of its own each time: this is seldom, and nothing is to be kept open for it.
    const asked = request(target, { method: "POST", agent: false, headers, signal }, (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) asked.destroy(failed("it answers too much"));
        chunks.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () => {
        const value = answer.statusCode === 200 ? parse(Buffer.concat(chunks).toString("utf8")) : undefined;
        if (value) resolve(value);
        else reject(failed(`it answered HTTP ${answer.statusCode}`));
      });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** The first byte string after all that begin with `prefix`: how etcd asks for a range. */
export function rangeEnd(prefix: string): Buffer {
  const bytes = Buffer.from(prefix);
  // UTF-8 has no byte of 0xff, so the last one can always be counted up.
  bytes[bytes.length - 1]! += 1;
  return bytes;
}

export function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function failed(what: string): FlotillaError {
  return new FlotillaError("unavailable", `etcd: ${what}`);
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
