import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Login } from "../contracts/users.ts";
import type { Environment } from "../service/variables.ts";
import { CliError, usageError } from "./cli-error.ts";
import { strictText } from "./strict-text.ts";

/** What is kept between two commands. */
export interface Profile {
  /** Where the gateway is, as it was said at the last login. */
  readonly gateway?: string;
  /** SECURITY: of that gateway; its tokens are sent to no other. */
  readonly login?: Login;
}

/** One file per profile, mode 0600, in a directory of mode 0700. */
export interface Profiles {
  readonly directory: string;
  fileOf(name: string): string;
  /** Of a name nothing is kept for, an empty one. Throws `failed_precondition` when others may read the file. */
  read(name: string): Profile;
  /** At once or not at all, whenever the power goes. */
  write(name: string, profile: Profile): void;
}

const othersMask = 0o077;
const isWindows = process.platform === "win32";

export function makeProfiles(env: Environment): Profiles {
  const directory = directoryIn(env);
  const profiles: Profiles = {
    directory,
    fileOf(name) {
      if (/^[A-Za-z0-9][\w-]{0,31}$/.test(name)) return join(directory, `${name}.json`);
      throw usageError(`A profile has a name of 1 to 32 letters, digits, - and _; got ${JSON.stringify(name)}`);
    },
    read(name) {
      const file = profiles.fileOf(name);
      const bytes = readPrivate(file);
      return bytes === undefined ? {} : parse(bytes, file);
    },
    write(name, profile) {
      openDirectory(directory);
      writeAtomically(profiles.fileOf(name), `${JSON.stringify(profile, undefined, 2)}\n`);
    },
  };
  return profiles;
}

/** As the XDG Base Directory Specification has it: a path that is not absolute counts as absent. */
function directoryIn(env: Environment): string {
  const given = env.XDG_CONFIG_HOME;
  const base =
    given && isAbsolute(given) ? given : isWindows && env.APPDATA ? env.APPDATA : join(homeIn(env), ".config");
  return join(base, "flotilla");
}

function homeIn(env: Environment): string {
  return env.HOME && isAbsolute(env.HOME) ? env.HOME : homedir();
}

/** SECURITY: a file that others can read has to be taken as read by them. Windows has no such modes. */
function readPrivate(file: string): Buffer | undefined {
  try {
    const { mode, uid } = statSync(file);
    const isOurs = isWindows || uid === process.getuid?.();
    if (!isOurs) throw refused(`${file} belongs to another user`, `Remove it, then run \`flotilla login\``);
    if (!isWindows && (mode & othersMask) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw refused(`${file} holds a login and is open to other users (mode ${octal})`, `Run \`chmod 600 ${file}\``);
    }
    return readFileSync(file);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error instanceof CliError ? error : refused(`${file} cannot be read`, "Look at its owner and mode", error);
  }
}

function parse(bytes: Buffer, file: string): Profile {
  try {
    const { gateway, login } = JSON.parse(strictText(bytes, file)) as Record<string, unknown>;
    if (gateway !== undefined && !(typeof gateway === "string" && URL.canParse(gateway)))
      throw new TypeError("gateway");
    if (login !== undefined && !isLogin(login)) throw new TypeError("login");
    return { ...(gateway !== undefined && { gateway }), ...(login !== undefined && { login }) };
  } catch (cause) {
    throw refused(`${file} is damaged`, `Run \`rm ${file}\`, then \`flotilla login\``, cause);
  }
}

function isLogin(value: unknown): value is Login {
  const login = Object(value) as Record<string, unknown>;
  const texts = [login.token, login.userId, login.username, login.role, login.refreshToken];
  const times = [login.expiresAt, login.refreshExpiresAt];
  return texts.every((it) => typeof it === "string") && times.every((it) => typeof it === "number");
}

/** One of ours that is open to others is closed. */
export function openDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!isWindows && (statSync(directory).mode & othersMask) !== 0) chmodSync(directory, 0o700);
  } catch (cause) {
    throw refused(
      `${directory} cannot be made or closed to other users`,
      "Set XDG_CONFIG_HOME to a directory of yours",
      cause,
    );
  }
}

function writeAtomically(file: string, text: string): void {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  try {
    const handle = openSync(draft, "wx", 0o600);
    try {
      writeSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw refused(`${file} cannot be written`, "Look at the disk and the directory's owner", cause);
  }
}

function refused(message: string, hint: string, cause?: unknown): CliError {
  return new CliError("failed_precondition", message, { reason: "profile_refused", hint, cause });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
