import { type Clock, FlotillaError } from "@flotilla/kit";
import { type JWTVerifyResult, jwtVerify, SignJWT } from "jose";
import type { TokenKey } from "./token-keys.ts";

/**
 * An access token outlives the end of its login by nothing (the login is looked up at each use); its life only bounds how
 * long a stolen one serves whose owner noticed nothing. Milliseconds.
 */
export const tokenLifetimeMsDefault = 15 * 60_000;
/** Clocks of several instances of this service may differ by so much. Milliseconds. */
const skewMs = 5_000;
/** Ours have about 350; what is longer is not decoded. Characters. */
const tokenCharsMax = 1_024;

const algorithm = "EdDSA";
const type = "at+jwt";
/** Issuer and audience: the User Service alone makes and reads these tokens; to all others they are opaque. */
const issuer = "urn:flotilla:users";

/** What a token says: not that its login is still alive. */
export interface AccessClaims {
  readonly accountId: string;
  readonly sid: string;
}

export interface AccessTokens {
  /** @returns a token and when it ends, in milliseconds since the epoch. */
  issue(claims: AccessClaims): Promise<{ token: string; expiresAtMs: number }>;
  /** Undefined for whatever is no token of ours that holds now. Rejects with `unavailable` when the store of keys is. */
  verify(token: string): Promise<(AccessClaims & { readonly expiresAtMs: number }) | undefined>;
}

/** What tokens are signed with, and what they are verified by. */
export interface AccessTokenKeys {
  current(): TokenKey | Promise<TokenKey>;
  /** SECURITY: `kid` is looked up and nothing else: it is a stranger's text. */
  byId(kid: string): Verifier | undefined | Promise<Verifier | undefined>;
}

type Verifier = Pick<TokenKey, "publicKey">;

export interface AccessTokensOptions {
  readonly clock: Clock;
  readonly keys: AccessTokenKeys;
  /** Milliseconds; whole seconds, and at most `tokenLifetimeMsDefault`, so that keys are kept long enough. */
  readonly lifetimeMs?: number;
}

/** JSON Web Tokens after RFC 9068, with one algorithm, as RFC 8725 advises. */
export function makeAccessTokens(options: AccessTokensOptions): AccessTokens {
  const { clock, keys, lifetimeMs = tokenLifetimeMsDefault } = options;
  if (lifetimeMs > tokenLifetimeMsDefault) throw new TypeError("An access token lives 15 minutes at most");
  return {
    async issue({ accountId, sid }) {
      const { kid, privateKey } = await keys.current();
      const iat = Math.floor(clock.now() / 1_000);
      const exp = iat + Math.floor(lifetimeMs / 1_000);
      const token = await new SignJWT({ iss: issuer, aud: issuer, sub: accountId, sid, iat, exp })
        .setProtectedHeader({ alg: algorithm, typ: type, kid })
        .sign(privateKey);
      return { token, expiresAtMs: exp * 1_000 };
    },
    async verify(token) {
      if (token.length > tokenCharsMax) return undefined;
      const verified = await verifySignature(token);
      const claims = verified && claimsOf(token, verified);
      // To the millisecond, without the skew: a token that is over here is over.
      return claims && claims.expiresAtMs > clock.now() ? claims : undefined;
    },
  };

  async function verifySignature(token: string): Promise<JWTVerifyResult | undefined> {
    try {
      return await jwtVerify(token, ({ kid }) => publicKeyOf(kid), {
        algorithms: [algorithm],
        typ: type,
        issuer,
        audience: issuer,
        requiredClaims: ["iss", "aud", "sub", "sid", "iat", "exp"],
        currentDate: new Date(clock.now()),
        clockTolerance: skewMs / 1_000,
        // Also refuses one that was issued in the future.
        maxTokenAge: lifetimeMs / 1_000,
      });
    } catch (error) {
      // The store cannot say whether there is such a key: that is no verdict on the token.
      if (error instanceof FlotillaError) throw error;
      // Why is nobody's business but an attacker's.
      return undefined;
    }
  }

  async function publicKeyOf(kid: string | undefined) {
    const key = kid === undefined ? undefined : await keys.byId(kid);
    if (!key) throw new Error("no such key");
    return key.publicKey;
  }
}

/**
 * Undefined unless the token is spelled exactly as `issue` spells it: no header or claim beside ours, none twice, and no
 * second spelling of the same bytes.
 */
function claimsOf(
  token: string,
  { payload, protectedHeader }: JWTVerifyResult,
): (AccessClaims & { expiresAtMs: number }) | undefined {
  const { sub, iat, exp } = payload;
  const { sid } = payload as { sid?: unknown };
  if (typeof sub !== "string" || typeof sid !== "string" || exp === undefined) return undefined;
  const header = encode({ alg: algorithm, typ: type, kid: protectedHeader.kid });
  const claims = encode({ iss: issuer, aud: issuer, sub, sid, iat, exp });
  const signature = token.slice(token.lastIndexOf(".") + 1);
  const spelled = `${header}.${claims}.${Buffer.from(signature, "base64url").toString("base64url")}`;
  return spelled === token ? { accountId: sub, sid, expiresAtMs: exp * 1_000 } : undefined;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
