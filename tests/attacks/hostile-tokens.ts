// Access tokens made by hand, by somebody who has read RFC 7519 and, where it says so, the service's own key.
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Json = Readonly<Record<string, unknown>>;

/** A token that was issued, taken apart. */
export interface Dissected {
  readonly header: Json;
  readonly claims: Json;
  readonly signature: string;
}

export function dissect(token: string): Dissected {
  const [header = "", claims = "", signature = ""] = token.split(".");
  const read = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString()) as Json;
  return { header: read(header), claims: read(claims), signature };
}

/** The key that signs access tokens, as it is on the disk of the User Service. */
export function stolenTokenKey(dataDir: string): KeyObject {
  const directory = join(dataDir, "token-keys");
  const file = readdirSync(directory).find((name) => name.endsWith(".key"));
  if (file === undefined) throw new Error("no token key");
  return createPrivateKey(readFileSync(join(directory, file)));
}

/** `undefined` leaves a header or claim out. */
export function signedBy(key: KeyObject, header: Json, claims: Json): string {
  const input = inputOf(header, claims);
  return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
}

/** Tokens of who may not sign: their algorithm is none, or one that makes a secret of what everybody may know. */
export function forgeries({ header, claims, signature }: Dissected, key: KeyObject): Record<string, string> {
  const publicKey = createPublicKey(key);
  const spki = { type: "spki" } as const;
  const jwk = publicKey.export({ format: "jwk" });
  const hmac = (secret: string | Buffer, alg: string) => {
    const input = inputOf({ ...header, alg }, claims);
    return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
  };
  const pem = publicKey.export({ ...spki, format: "pem" });
  const stranger = generateKeyPairSync("ed25519").privateKey;
  return {
    "alg none": `${inputOf({ ...header, alg: "none" }, claims)}.`,
    "alg None": `${inputOf({ ...header, alg: "None" }, claims)}.`,
    "alg none, signed": `${inputOf({ ...header, alg: "none" }, claims)}.${signature}`,
    "no alg": `${inputOf({ ...header, alg: undefined }, claims)}.`,
    "HS256 under the public key (PEM)": hmac(pem, "HS256"),
    "HS256 under the public key (DER)": hmac(publicKey.export({ ...spki, format: "der" }), "HS256"),
    "HS256 under the public key (raw)": hmac(Buffer.from(jwk.x ?? "", "base64url"), "HS256"),
    "HS256 under nothing": hmac("", "HS256"),
    "HMAC that says EdDSA": hmac(pem, "EdDSA"),
    "RS256 in name": signedBy(key, { ...header, alg: "RS256" }, claims),
    "ES256 in name": signedBy(key, { ...header, alg: "ES256" }, claims),
    "Ed25519, the same under its other name": signedBy(key, { ...header, alg: "Ed25519" }, claims),
    "a stranger's key": signedBy(stranger, header, claims),
    "no signature": `${inputOf(header, claims)}.`,
    "other claims under a signature": `${inputOf(header, { ...claims, sub: "user2" })}.${signature}`,
  };
}

/** Well signed, by somebody careless; each says something that ours do not. */
export function misstatements({ header, claims }: Dissected, key: KeyObject): Record<string, string> {
  const now = Math.floor(Date.now() / 1_000);
  const claiming = (other: Json) => signedBy(key, header, { ...claims, ...other });
  const tokens: Record<string, string> = {
    "another audience": claiming({ aud: "urn:flotilla:orders" }),
    "two audiences": claiming({ aud: [claims.aud, "urn:flotilla:orders"] }),
    "another issuer": claiming({ iss: "urn:flotilla:gateway" }),
    "another type": signedBy(key, { ...header, typ: "JWT" }, claims),
    "the type of a refresh token": signedBy(key, { ...header, typ: "rt+jwt" }, claims),
    "no type": signedBy(key, { ...header, typ: undefined }, claims),
    expired: claiming({ iat: now - 900, exp: now - 1 }),
    "not valid yet": claiming({ nbf: now + 60 }),
    "issued in the future": claiming({ iat: now + 60, exp: now + 960 }),
    "a life of a year": claiming({ exp: now + 31_536_000, iat: now - 3_600 }),
    "a role": claiming({ role: "admin" }),
    "another's login": claiming({ sub: "user1" }),
    "a login that nobody has": claiming({ sid: "A".repeat(22) }),
  };
  for (const claim of Object.keys(claims)) tokens[`no ${claim}`] = claiming({ [claim]: undefined });
  return tokens;
}

/** With a key of the attacker's own, and in the header where to find it. `lure` is the attacker's server. */
export function keyFinders({ header, claims }: Dissected, lure: string): Record<string, string> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: header.kid, alg: "EdDSA" };
  const pointing = (other: Json) => signedBy(privateKey, { ...header, ...other }, claims);
  const { kid: _, ...withoutKid } = header;
  const kids = ["", "another", "../keys/users", "../../keys/users.pub", "/dev/null", "file:///dev/null", lure];
  const special = ["__proto__", "constructor", "toString", "0", "-1", "' OR 1=1 --", "x".repeat(300), "\u0000"];
  return {
    "a key in the header": pointing({ jwk }),
    "a key in the header, and no kid": signedBy(privateKey, { ...withoutKid, jwk }, claims),
    jku: pointing({ jku: `${lure}/jwks` }),
    x5u: pointing({ x5u: `${lure}/cert` }),
    x5c: pointing({ x5c: [publicKey.export({ type: "spki", format: "der" }).toString("base64")] }),
    crit: pointing({ crit: ["jwk"], jwk }),
    "no kid": signedBy(privateKey, withoutKid, claims),
    "a kid that is none": pointing({ kid: { toString: "x" } }),
    ...Object.fromEntries([...kids, ...special].map((kid) => [`kid ${kid.slice(0, 30)}`, pointing({ kid })])),
  };
}

function inputOf(header: Json, claims: Json): string {
  return [header, claims].map((it) => Buffer.from(JSON.stringify(it)).toString("base64url")).join(".");
}
