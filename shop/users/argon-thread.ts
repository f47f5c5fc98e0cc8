// A thread that hashes passwords, one after the other, and gives way to whatever else the machine has to do.
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { doHashWork, type HashWork } from "./argon.ts";

/** Linux has a priority for each thread; where it is the whole process's, it stays as it is. */
const niceness = 19;

if (process.platform === "linux") setPriority(niceness);
parentPort?.on("message", (work: HashWork) => parentPort?.postMessage(doHashWork(work)));
