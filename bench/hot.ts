// `npx node bench/hot.ts FILE.cpuprofile [N]`: the N functions in which a process spent most of its own time, and how much of
// the time that it was not idle they are. For what `npm run bench -- --profile DIR` writes.
import { readFileSync } from "node:fs";

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

const [file = "", shown = "25"] = process.argv.slice(2);
const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8")) as Profile;
const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
const times = new Map<string, number>();
for (const [n, id] of samples.entries()) {
  const place = places.get(id) ?? "";
  times.set(place, (times.get(place) ?? 0) + timeDeltas[n]!);
}
times.delete("(idle)");
times.delete("(root)");
const busy = [...times.values()].reduce((sum, it) => sum + it, 0);
process.stdout.write(`${(busy / 1e6).toFixed(2)} s busy\n`);
for (const [place, time] of [...times].sort((a, b) => b[1] - a[1]).slice(0, Number(shown))) {
  process.stdout.write(`${((time / busy) * 100).toFixed(1).padStart(5)} % ${place}\n`);
}

function placeOf({ functionName, url, lineNumber }: Profile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(anonymous)";
  if (url === "") return name;
  return `${name} ${url.replace(/^file:\/\//, "").replace(`${process.cwd()}/`, "")}:${lineNumber + 1}`;
}
