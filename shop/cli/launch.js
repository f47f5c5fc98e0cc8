#!/usr/bin/env node
// Starts `flotilla` under whatever Node the host has, so it is plain JavaScript. npx finds the project's own Node 24 first
// and this only loads the program; an older one hands over to it. Compiled code is kept where the packages are: without
// that, to strip the types takes longer than all else (docs/cli.md).
import * as module from "node:module";
import { fileURLToPath } from "node:url";
import { isNodeNewEnough, runPackagedNode } from "../../scripts/packaged-node.js";
import { compileCacheDir } from "../compile-cache.js";

if (isNodeNewEnough) {
  const cache = compileCacheDir();
  if (cache !== undefined) module.enableCompileCache(cache);
  await import("./flotilla.ts");
} else runPackagedNode([fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
