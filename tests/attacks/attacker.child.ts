// The attacker in a process of its own, so that neither the customer nor the measuring waits for it. Started by attacker.ts.
import { setTimeout as delay } from "node:timers/promises";
import type { FromAttacker, ToAttacker } from "./attacker.ts";
import { measuredAttacks } from "./measured-attacks.ts";

process.on("message", (message: ToAttacker) => {
  run(message).then(
    (count) => say({ type: "done", count }),
    (error: unknown) => say({ type: "failed", message: String(error) }),
  );
});
process.once("disconnect", () => process.exit());

async function run(message: ToAttacker): Promise<number> {
  if (message.type === "compute") return await compute(message.roundMs);
  const attack = measuredAttacks.find(({ name }) => name === message.name);
  if (!attack) throw new Error(`no attack is called ${message.name}`);
  if (message.type === "attack") return await attack.run(message.at, message.roundMs);
  attack.end?.();
  return 0;
}

/** Takes as much of the processor as an attacker can, and sends nothing. */
async function compute(roundMs: number): Promise<number> {
  const endMs = performance.now() + roundMs;
  while (performance.now() < endMs) {
    const pauseAtMs = performance.now() + 20;
    while (performance.now() < pauseAtMs);
    await delay(1);
  }
  return 0;
}

function say(message: FromAttacker): void {
  process.send?.(message);
}
