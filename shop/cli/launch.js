#!/usr/bin/env node
// Starts `flotilla` under whatever Node the host has, so it is plain JavaScript. npx finds the project's own Node 24 first
// and this only loads the program; an older one hands over to it. Compiled code is kept where the packages are: without
// that, to strip the types takes longer than all else (docs/cli.md).
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { compileCacheDir } from "../compile-cache.js";

const nodeMajorNeeded = 24;
const packages = new URL("../../node_modules/", import.meta.url);

if (Number(process.versions.node.split(".")[0]) >= nodeMajorNeeded) {
  const cache = compileCacheDir();
  if (cache !== undefined) module.enableCompileCache(cache);
  await import("./flotilla.ts");
} else {
  const { platform, arch } = process;
  const name = platform === "win32" ? "node.exe" : "node";
  const node = fileURLToPath(new URL(`node-${platform === "win32" ? "win" : platform}-${arch}/bin/${name}`, packages));
  if (existsSync(node)) handOver(node);
  else {
    process.stderr.write(
      `flotilla needs Node ${nodeMajorNeeded}; this is ${process.versions.node}, and none is packaged\n`,
    );
    process.exitCode = 1;
  }
}

function handOver(node) {
  const program = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => program.kill(signal));
  program.on("error", (error) => {
    process.stderr.write(`flotilla cannot start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  program.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}
