import type { Manifest } from "../../backup/manifest.ts";
import { CliError, usageError } from "../cli-error.ts";
import type { CommandSpec, Context, Input } from "../command.ts";
import { say } from "../text.ts";

const data = { flags: "--data <directory>", summary: "the data directory (default: FLOTILLA_DATA, or data)" };

export const backup: CommandSpec = {
  name: "backup",
  summary: "Back up the stores and keys of this machine's services",
  about: "They may run meanwhile. The backup holds everything that is secret; see docs/operations.md.",
  args: [["<directory>", "a new one"]],
  options: [data],
  examples: ["flotilla backup /backups/monday", "flotilla backup /backups/monday --data /var/lib/flotilla --json"],
  async run(context, input) {
    const { directory, env } = asked(context, input);
    const { backUp, sizeOf } = await import("../../backup/run.ts");
    const { dataDir, manifest } = await placed(() => backUp(env, directory));
    const { terminal } = context;
    terminal.result(toJson(manifest, { directory, dataDir }), () => {
      const done = say`Backed up ${dataDir} to ${directory}: ${sizeOf(manifest)}, verified`;
      return terminal.quiet ? say`${directory}` : say`${terminal.paint("green", "✓")} ${done}`;
    });
    return 0;
  },
};

export const restore: CommandSpec = {
  name: "restore",
  summary: "Make the data directory what it was when a backup was made",
  about:
    "Verifies all of the backup first. The services must not run; what is there is moved aside, and you are asked.",
  args: [["<directory>", "the backup"]],
  options: [data],
  examples: ["flotilla restore /backups/monday", "flotilla restore /backups/monday --data /var/lib/flotilla --yes"],
  advice: { store_in_use: "Stop the services first" },
  async run(context, input) {
    const { directory, env } = asked(context, input);
    const [{ restore: restoreFrom }, { linesOf, sizeOf }, { readPlacement }] = await Promise.all([
      import("../../backup/restore.ts"),
      import("../../backup/run.ts"),
      import("../../service/placement.ts"),
    ]);
    const { dataDir } = await placed(async () => readPlacement(env, []));
    const isForced = await agreesToReplace(context, dataDir);
    const { manifest, replaced, carried } = await placed(() =>
      restoreFrom({ from: directory, dataDir, force: isForced }),
    );
    const { terminal } = context;
    terminal.result({ ...toJson(manifest, { directory, dataDir }), ...carried, replaced: replaced ?? null }, () => {
      const done = say`Restored ${dataDir} from the backup of ${manifest.startedAt}: ${sizeOf(manifest)}, verified`;
      return terminal.quiet ? say`${dataDir}` : say`${terminal.paint("green", "✓")} ${done}`;
    });
    for (const line of linesOf(carried)) terminal.note(say`${line}`);
    if (replaced !== undefined) terminal.note(say`The earlier files are in ${replaced}; remove them when you are sure`);
    return 0;
  },
};

export const newStore: CommandSpec = {
  name: "new-store",
  summary: "Let a service begin anew with an empty store",
  about:
    "For a store that is lost or damaged and has no backup. Moves what is left of it aside, so that the next start of its " +
    "service makes a new one. A new store of users needs a new one of orders: both number from 1 again. A database of " +
    "PostgreSQL is left as it is; give the service an empty one, or the one that it moves to.",
  args: [["<service...>", "users, orders"]],
  options: [data],
  examples: ["flotilla new-store orders", "flotilla new-store users orders --data /var/lib/flotilla --yes"],
  advice: { store_in_use: "Stop the services first" },
  async run(context, { args: [services], options }) {
    const [{ beginAnew }, { readPlacement }] = await Promise.all([
      import("../../backup/new-store.ts"),
      import("../../service/placement.ts"),
    ]);
    const { env } = asked(context, { args: [], options });
    const { dataDir } = await placed(async () => readPlacement(env, []));
    const names = services as readonly string[];
    await context.prompt.agreement(say`Begin anew with an empty store of ${names.join(" and ")} in ${dataDir}?`);
    const replaced = await placed(async () => beginAnew({ dataDir, services: names }));
    const { terminal } = context;
    terminal.result({ dataDir, services: names, replaced }, () => {
      const done = say`The next start of ${names.join(" and ")} counts as the first`;
      return terminal.quiet ? say`${replaced}` : say`${terminal.paint("green", "✓")} ${done}`;
    });
    terminal.note(say`The earlier files are in ${replaced}`);
    return 0;
  },
};

/** Asks only when there is something. */
async function agreesToReplace({ prompt }: Context, dataDir: string): Promise<boolean> {
  const { namesIn } = await import("../../backup/files.ts");
  if (namesIn(dataDir).length === 0) return false;
  await prompt.agreement(say`Move aside what is in ${dataDir}?`);
  return true;
}

function asked({ env }: Context, { args, options }: Input): { directory: string; env: Context["env"] } {
  const directory = String(args[0]);
  return { directory, env: typeof options.data === "string" ? { ...env, FLOTILLA_DATA: options.data } : env };
}

/** What keeps a service from starting keeps this from being done: settings that are wrong, or a system that runs. */
async function placed<T>(run: () => Promise<T>): Promise<T> {
  const { StartError } = await import("../../service/start-error.ts");
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    throw error.reason === "bad_settings"
      ? usageError(error.message)
      : new CliError("failed_precondition", error.message);
  }
}

function toJson({ startedAt, files }: Manifest, at: { readonly directory: string; readonly dataDir: string }) {
  return { ...at, startedAt, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}
