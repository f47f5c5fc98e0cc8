// Loaded into each service of an `npm start` by tests/faults/supervised.ts (`NODE_OPTIONS=--import`): the process does to
// itself what it is asked for at a Unix socket.
import { rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

/** Of the directory with the sockets. */
export const doorsVariable = "TEST_DOORS";

/** How long `block` holds the event loop. Milliseconds. */
export const blockMs = 3_000;
/** What `chatter` writes: more than pipes and buffers hold. Bytes. */
export const chatterBytes = 8 * 2 ** 20;

const harms = {
  pid: () => {},
  block() {
    const endMs = performance.now() + blockMs;
    while (performance.now() < endMs);
  },
  throw() {
    throw new Error("a fault that nobody expected");
  },
  reject: () => void Promise.reject(new Error("a promise that nobody waits for")),
  /** In some steps, so that calls are answered until there is no more. */
  hog(held: unknown[] = []) {
    held.push(Array.from({ length: 500_000 }, (_, n) => ({ n })));
    setImmediate(() => harms.hog(held));
  },
  mutter: () => void process.stderr.write("a line\n"),
  chatter() {
    const line = `${"x".repeat(1_023)}\n`;
    for (let n = 0; n < chatterBytes / line.length; n += 1) process.stderr.write(line);
  },
};
export type Harm = keyof typeof harms;

const name = /(users|orders|gateway)\/main\.ts$/.exec(process.argv[1] ?? "")?.[1];
const directory = process.env[doorsVariable];
if (isMainThread && name !== undefined && directory !== undefined) openDoor(join(directory, `${name}.sock`));

function openDoor(path: string): void {
  // That of a run which did not end in good order.
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    const harm = harms[request.url?.slice(1) as Harm];
    response.end(String(process.pid), () => setImmediate(harm));
  });
  server.listen(path);
  server.unref();
}
