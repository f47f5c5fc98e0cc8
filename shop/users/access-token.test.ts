import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "@flotilla/kit";
import { CompactSign, exportJWK, type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type AccessTokens, makeAccessTokens } from "./access-token.ts";
import { openTokenKeys, type TokenKeys } from "./token-keys.ts";

const directory = mkdtempSync(join(tmpdir(), "flotilla-tokens-"));
afterAll(() => rmSync(directory, { recursive: true }));

const startMs = 1_700_000_000_000;
let nowMs = startMs;
const clock: Clock = { ...systemClock, now: () => nowMs };
const keys: TokenKeys = openTokenKeys(directory, clock);
const tokens: AccessTokens = makeAccessTokens({ clock, keys });
beforeEach(() => {
  nowMs = startMs;
});

const bob = { accountId: "user2", sid: "a-login" };
const iat = startMs / 1_000;
const urn = "urn:flotilla:users";
const good = { iss: urn, aud: urn, sub: "user2", sid: "a-login", iat, exp: iat + 900 };
const goodHeader = () => ({ alg: "EdDSA", typ: "at+jwt", kid: keys.current().kid });

const part = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** Signed with the service's own key, by somebody careless. */
async function signed(
  payload: object,
  header: object = {},
  key: KeyObject = keys.current().privateKey,
): Promise<string> {
  const bytes = new TextEncoder().encode(typeof payload === "string" ? payload : JSON.stringify(payload));
  return await new CompactSign(bytes).setProtectedHeader({ ...goodHeader(), ...header }).sign(key);
}

describe("an access token", () => {
  it("says for whom it is, and which login", async () => {
    const { token, expiresAtMs } = await tokens.issue(bob);
    expect(expiresAtMs).toBe(startMs + 900_000);
    expect(await tokens.verify(token)).toEqual({ ...bob, expiresAtMs });
    expect(token.length).toBeLessThan(500);
    expect(await tokens.verify(await signed(good))).toEqual({ ...bob, expiresAtMs });
  });

  it("ends to the millisecond", async () => {
    const { token } = await tokens.issue(bob);
    nowMs += 899_999;
    expect(await tokens.verify(token)).toBeDefined();
    nowMs += 1;
    expect(await tokens.verify(token)).toBeUndefined();
  });

  it("of a clock that is a little ahead is good, and of one that is far ahead is not", async () => {
    const { token } = await tokens.issue(bob);
    nowMs -= 5_000;
    expect(await tokens.verify(token)).toBeDefined();
    nowMs -= 1_000;
    expect(await tokens.verify(token)).toBeUndefined();
  });

  it("does not live longer than keys are kept", () => {
    expect(() => makeAccessTokens({ clock, keys, lifetimeMs: 900_001 })).toThrow(TypeError);
  });
});

describe("nothing else is one", () => {
  const stranger = generateKeyPairSync("ed25519").privateKey;
  const publicPem = () => keys.current().publicKey.export({ type: "spki", format: "pem" });
  const hmac = (header: object, key: string | Buffer) => {
    const input = `${part(header)}.${part(good)}`;
    return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
  };

  const attacks: Record<string, () => Promise<string> | string> = {
    "alg none": () => `${part({ ...goodHeader(), alg: "none" })}.${part(good)}.`,
    "alg none, with the signature of another": async () =>
      `${part({ ...goodHeader(), alg: "none" })}.${(await signed(good)).split(".").slice(1).join(".")}`,
    "HS256 under the public key": () => hmac({ ...goodHeader(), alg: "HS256" }, publicPem()),
    "HS256 under the public key's bytes": () =>
      hmac({ ...goodHeader(), alg: "HS256" }, keys.current().publicKey.export({ type: "spki", format: "der" })),
    "HMAC that says EdDSA": () => hmac(goodHeader(), publicPem()),
    "the same algorithm under its other name": () => signed(good, { alg: "Ed25519" }),
    "a stranger's key": () => signed(good, {}, stranger),
    "another kid": () => signed(good, { kid: "another" }),
    "no kid": () => signed(good, { kid: undefined }),
    "a kid that is a path": () => signed(good, { kid: "../keys/users" }, stranger),
    "a kid that is a name of JavaScript": () => signed(good, { kid: "__proto__" }, stranger),
    "a stranger's key in the header": async () =>
      signed(good, { jwk: await exportJWK(generateKeyPairSync("ed25519").publicKey) }),
    "where to find a key": () => signed(good, { jku: "http://127.0.0.1:9/keys" }),
    "where to find a certificate": () => signed(good, { x5u: "http://127.0.0.1:9/cert" }),
    "another type": () => signed(good, { typ: "JWT" }),
    "no type": () => signed(good, { typ: undefined }),
    "a claim of a header that nobody knows": () => signed(good, { cty: "JWT" }),
    "another audience": () => signed({ ...good, aud: "urn:other" }),
    "several audiences": () => signed({ ...good, aud: [urn, "urn:other"] }),
    "another issuer": () => signed({ ...good, iss: "urn:other" }),
    "issued in the future": () => signed({ ...good, iat: iat + 60, exp: iat + 900 }),
    "not valid yet": () => signed({ ...good, nbf: iat + 60 }),
    "a longer life than ours have": () => signed({ ...good, iat: iat - 1_000, exp: iat + 900 }),
    expired: () => signed({ ...good, exp: iat - 1 }),
    "another claim": () => signed({ ...good, role: "admin" }),
    "a claim twice": () =>
      signed(JSON.stringify(good).replace('"sub"', '"sub":"user1","sub"') as unknown as JWTPayload),
    "a claim of another kind": () => signed({ ...good, sub: ["user1"] }),
    "a token in a token": async () => signed((await signed(good)) as unknown as JWTPayload),
    "two signatures": async () => `${await signed(good)}.${(await signed(good)).split(".")[2]}`,
    "a list of signatures": async () => {
      const [header, payload, signature] = (await signed(good)).split(".");
      return JSON.stringify({ payload, signatures: [{ protected: header, signature }] });
    },
    encrypted: () => `${part({ alg: "dir", enc: "A256GCM" })}..${part("iv")}.${part("text")}.${part("tag")}`,
    "another spelling of the same signature": async () => {
      const token = await signed(good);
      const last = token.at(-1)!;
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
      return token.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1];
    },
    padding: async () => `${await signed(good)}==`,
    "white space": async () => ` ${await signed(good)}`,
    "a megabyte": () => `${part({ ...goodHeader(), x: "x".repeat(1_000_000) })}.${part(good)}.${"A".repeat(86)}`,
    "deep JSON": () => `${part("[".repeat(300) + "]".repeat(300))}.${part(good)}.${"A".repeat(86)}`,
    nothing: () => "",
    dots: () => "..",
    "the name of a user": () => "token_bob_0",
  };
  for (const claim of Object.keys(good)) {
    attacks[`no ${claim}`] = () => signed({ ...good, [claim]: undefined });
  }

  it.each(Object.entries(attacks))("%s", async (_, forge) => {
    expect(await tokens.verify(await forge())).toBeUndefined();
  });

  it("an altered character anywhere", async () => {
    const { token } = await tokens.issue(bob);
    for (let at = 0; at < token.length; at += 7) {
      const altered = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      expect(await tokens.verify(altered), altered).toBeUndefined();
    }
  });
});

it("the same claims by jose's own hand are ours, so the attacks above fail for what they say", async () => {
  const token = await new SignJWT(good).setProtectedHeader(goodHeader()).sign(keys.current().privateKey);
  expect(await tokens.verify(token)).toMatchObject(bob);
});
