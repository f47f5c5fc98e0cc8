/** Schemes whose pages browsers give no origin of their own, or that are no pages at all. */
const neverSent: ReadonlySet<string> = new Set(["about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"]);
/** Common misspellings of `http` and `https`. */
const mistyped = /^h*t+p*s*$/;
const format = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is;

/**
 * The origin that `text` names, spelt as browsers spell it in `Origin`: in lower case, without a default port, without a
 * slash at its end. Besides `https://shop.example` that is the scheme of an app, such as `capacitor://localhost` or
 * `chrome-extension://ID`.
 *
 * @throws TypeError that says what to write, for a text that no browser would ever send.
 */
export function originOf(text: string): string {
  const [, scheme = "", host = "", rest = ""] = format.exec(text) ?? [];
  if (scheme === "") throw notOrigin(text, "it begins with a scheme, as in https://shop.example");
  const isWeb = /^https?$/i.test(scheme);
  if (host.includes("*")) throw notOrigin(text, "there are no wildcards: list each origin by its name");
  if (neverSent.has(scheme.toLowerCase()) || (!isWeb && mistyped.test(scheme.toLowerCase()))) {
    throw notOrigin(
      text,
      `it begins with https://, http:// or the scheme of an app, as in https://${host || "shop.example"}`,
    );
  }
  if (host === "" || host.includes("@")) throw notOrigin(text, "a host follows the scheme, as in https://shop.example");
  const url = URL.parse(`${scheme}://${isWeb ? host : host.toLowerCase()}`);
  if (!url || (!isWeb && !/^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?$/.test(url.host))) {
    throw notOrigin(text, "its host cannot be, expected one such as in https://shop.example:8443");
  }
  const origin = `${url.protocol}//${url.host}`;
  if (rest !== "" && rest !== "/") throw notOrigin(text, `it ends with the host: ${origin}`);
  return origin;
}

/** Longer ones are cut. Characters. */
const shownCharsMax = 100;

/** An origin that a stranger sent, for a log: printable ASCII, of a bounded length. */
export function shownOrigin(origin: string): string {
  const text = origin.slice(0, shownCharsMax).replace(/[^\x21-\x7e]/g, escaped);
  return origin.length > shownCharsMax ? `${text}...` : text;
}

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function notOrigin(text: string, expected: string): TypeError {
  return new TypeError(`${JSON.stringify(text)} is no origin of a page: ${expected}`);
}
