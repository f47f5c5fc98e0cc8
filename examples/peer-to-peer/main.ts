import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { introduce } from "@flotilla/kit";
import { type Notebook, startPeer } from "./peer.ts";

export async function meet(print: (line: string) => void): Promise<void> {
  const keys = mkdtempSync(join(tmpdir(), "flotilla-peers-"));
  const ann = await startPeer("ann", { keys, friends: ["ben"] });
  const ben = await startPeer("ben", { keys, friends: ["ann"] });
  const carl = await startPeer("carl", { keys, friends: ["ann"] });
  const annToBen = ann.linkTo(ben);
  const annToCarl = ann.linkTo(carl);
  const carlToBen = carl.linkTo(ben);
  await annToBen.opened();

  using bens = annToBen.main.notebook();
  using anns = ben.linkTo(ann).main.notebook();
  print(`ann reads ${await bens.read(1)}`);
  print(`ben reads ${await anns.read(1)}`);

  await carlToBen.main.notebook().catch(({ code }) => print(`carl asks ben himself: ${code}`));
  const gift = introduce<Notebook>(bens, { from: annToBen, to: "carl" });
  print(`carl, introduced by ann, reads ${await gift.answer(annToCarl.main.lookInto(gift.value))}`);

  gift[Symbol.dispose]();
  await annToCarl.main.lookInto(gift.value).catch(({ code, reason }) => print(`carl, later: ${code}, ${reason}`));
  print(`deposits left with ben: ${ben.held().deposits}`);

  for (const peer of [ann, ben, carl]) await peer.stop();
  rmSync(keys, { recursive: true });
}

if (import.meta.main) await meet(console.log);
