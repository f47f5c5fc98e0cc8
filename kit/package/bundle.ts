import { join } from "node:path";
import { rolldown } from "rolldown";

/** Browsers of 2024 and later (`Promise.withResolvers`). */
const target = "es2023";

/**
 * Writes `dist/browser.js`: `src/browser/index.ts` with all that it imports, in one module without an import.
 * Takes in the place of what is Node's what `browser` in the package's manifest names.
 */
export async function bundleForBrowsers(packageDir: string): Promise<void> {
  const bundle = await rolldown({
    input: join(packageDir, "src", "browser", "index.ts"),
    platform: "browser",
    transform: { target },
    onLog(level, log) {
      // What is not resolved would be left as an import, which no browser could follow.
      if (level === "warn") throw new Error(`The build for browsers: ${log.message}`);
    },
  });
  try {
    await bundle.write({
      file: join(packageDir, "dist", "browser.js"),
      format: "esm",
      minify: true,
      sourcemap: true,
      codeSplitting: false,
    });
  } finally {
    await bundle.close();
  }
}
