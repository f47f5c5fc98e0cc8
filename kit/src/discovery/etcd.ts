import { type ClientRequest, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { FlotillaError } from "../base/errors.ts";
import { decodeText } from "../base/text.ts";

/** Where instances are written down, each under a key that begins with `prefix`. */
export interface EtcdPlace {
  /** `http://host:port` of a member's client address. */
  readonly url: string;
  readonly prefix: string;
}

/** Of one answer, and of all that one watch says: 128 entries are 40 KB. Bytes. */
export const answerBytesMax = 1024 * 1024;
/** Of what etcd says in words. Characters. */
const wordsMax = 200;

/** Asks etcd's JSON gateway. @throws FlotillaError `unavailable` for anything but a JSON object in an answer of 200. */
export function askEtcd(
  place: EtcdPlace,
  path: string,
  question: object,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const asked = postToEtcd(place, path, question, signal);
    asked.on("error", reject);
    asked.on("response", (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) asked.destroy(failed("it answers too much"));
        chunks.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () => {
        const value = parseBytes(Buffer.concat(chunks));
        // One that answers bit by bit may fail after it has said 200.
        if (answer.statusCode === 200 && value && !value.error) resolve(value);
        else reject(failed(`it answered HTTP ${answer.statusCode}`, value?.error));
      });
    });
  });
}

/** Sends a question to etcd's JSON gateway; the caller listens for its answer and its errors. */
export function postToEtcd({ url }: EtcdPlace, path: string, question: object, signal: AbortSignal): ClientRequest {
  const body = JSON.stringify(question);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const target = new URL(path, url);
  const request = target.protocol === "https:" ? httpsRequest : httpRequest;
  // A connection of its own each time: this is seldom, and nothing is to be kept open for it.
  return request(target, { method: "POST", agent: false, headers, signal }).end(body);
}

/** @throws TypeError */
export function checkPlace({ url, prefix }: EtcdPlace): void {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) throw new TypeError("url of etcd is no http: or https: one");
  if (prefix === "") throw new TypeError("prefix of keys in etcd is empty");
}

/** The range of all keys that begin with the prefix, as etcd wants to hear it. */
export function keysOf({ prefix }: EtcdPlace): { readonly key: string; readonly range_end: string } {
  const end = Buffer.from(prefix);
  // The first byte string after all of them. UTF-8 has no byte of 0xff, so the last one can always be counted up.
  end[end.length - 1]! += 1;
  return { key: toBase64(prefix), range_end: end.toString("base64") };
}

export function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** @param words what etcd itself says of it: a text, or an object with one. */
export function failed(what: string, words?: unknown): FlotillaError {
  const said = isObject(words) ? words.message : words;
  const why = typeof said === "string" && said !== "" ? `: ${JSON.stringify(said.slice(0, wordsMax))}` : "";
  return new FlotillaError("unavailable", `etcd: ${what}${why}`);
}

/** The JSON object that `text` is; undefined for anything else. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function parseBytes(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    return parseObject(decodeText(bytes, "The answer"));
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
