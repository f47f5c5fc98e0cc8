/** Why no HTTP answer came: a word for programs, and words of ours for people. */
export interface NetworkFailure {
  readonly reason: string;
  readonly text: string;
}

/** `rawPacket` is set by Node's HTTP parser, on bytes that are not HTTP. */
interface Cause extends Error {
  readonly code?: unknown;
  readonly rawPacket?: unknown;
}

const untrusted: NetworkFailure = {
  reason: "certificate_untrusted",
  text: "this process trusts no authority that signed its certificate (NODE_EXTRA_CA_CERTS adds one)",
};
const otherHost: NetworkFailure = {
  reason: "certificate_other_host",
  text: "its certificate is for another host name than its address has",
};
const notListening: NetworkFailure = { reason: "connection_refused", text: "nothing listens at its address" };
const noPath: NetworkFailure = { reason: "network_unreachable", text: "no network path leads to its address" };
const timedOut: NetworkFailure = { reason: "timed_out", text: "it did not answer in time" };
const expectsTls: NetworkFailure = {
  reason: "tls_expected",
  text: "it expects TLS, so its address has to begin with https:",
};

const byCode: Readonly<Record<string, NetworkFailure>> = {
  ECONNREFUSED: notListening,
  // The file of a Unix socket is missing.
  ENOENT: notListening,
  EACCES: { reason: "permission_denied", text: "this process may not use the socket at its address" },
  ENOTFOUND: { reason: "host_not_found", text: "its host name is not known" },
  EAI_AGAIN: { reason: "host_not_found", text: "its host name cannot be looked up now" },
  EHOSTUNREACH: noPath,
  ENETUNREACH: noPath,
  ETIMEDOUT: timedOut,
  CERT_HAS_EXPIRED: { reason: "certificate_expired", text: "its certificate has expired" },
  CERT_NOT_YET_VALID: {
    reason: "certificate_not_yet_valid",
    text: "its certificate is not valid yet (compare the clocks of the two machines)",
  },
  ERR_TLS_CERT_ALTNAME_INVALID: otherHost,
  HOSTNAME_MISMATCH: otherHost,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_UNTRUSTED: untrusted,
};

/** The other codes that OpenSSL has for a certificate that it refuses, such as `CERT_REVOKED` and `INVALID_PURPOSE`. */
const refusedCertificate =
  /^(?:CERT_|CRL_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$|UNABLE_TO_|ERROR_IN_CERT_)/;
/** OpenSSL's own words for what failed, which stand in its error text between the function and the file. */
const opensslWords = /:SSL routines:\w*:([a-z0-9 /-]{1,80}):/;
/** First byte of a TLS alert, with which some servers answer plain HTTP. */
const tlsAlert = 0x15;

/**
 * Why a request got no HTTP answer, as far as Node tells; undefined when it does not. No text of the peer's is in it,
 * and no address.
 *
 * @param isTls whether TLS was to be spoken.
 */
export function networkFailure(cause: Cause, isTls: boolean): NetworkFailure | undefined {
  const code = String(cause.code);
  const known = Object.hasOwn(byCode, code) ? byCode[code] : undefined;
  if (known) return known;
  if (refusedCertificate.test(code)) {
    return { reason: "certificate_refused", text: `its certificate is not accepted (${code})` };
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")) return tlsFailure(cause.message);
  if (code === "ECONNRESET" || code === "EPIPE") return dropped(isTls);
  if (code.startsWith("HPE_")) {
    const isAlert = cause.rawPacket instanceof Uint8Array && cause.rawPacket[0] === tlsAlert;
    return isAlert
      ? expectsTls
      : { reason: "unexpected_answer", text: "what listens at its address does not speak HTTP" };
  }
  // `ws` gives its own time-out no code.
  return cause.message === "Opening handshake has timed out" ? timedOut : undefined;
}

function tlsFailure(message: string): NetworkFailure {
  const [, words] = opensslWords.exec(message) ?? [];
  // Bytes that are no TLS record are taken for a record of an impossible version, or of an impossible length.
  if (words === "wrong version number" || words === "packet length too long" || words === "record layer failure") {
    return { reason: "tls_not_spoken", text: "it does not speak TLS, so its address has to begin with http:" };
  }
  return { reason: "tls_failed", text: `the two could not agree on TLS${words === undefined ? "" : ` (${words})`}` };
}

function dropped(isTls: boolean): NetworkFailure {
  return {
    reason: "connection_dropped",
    text: isTls
      ? "it closed the connection before TLS was agreed on"
      : "it closed the connection without an answer (if it expects TLS, its address has to begin with https:)",
  };
}
