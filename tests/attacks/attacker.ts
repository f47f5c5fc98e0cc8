import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The system under attack, and what the attacker has of it. */
export interface Attacked {
  /** The gateway's. */
  readonly url: string;
  /** The User Service's own port. */
  readonly usersUrl: string;
  /** charlie's. */
  readonly token: string;
  /** Tokens of three accounts, charlie's among them; none is the customer's. */
  readonly tokens: readonly string[];
}

/** One row of the table, as the attacker's process runs it. */
export interface MeasuredAttack {
  readonly row: string;
  readonly name: string;
  /** Attacks for `roundMs`. @returns how often it did what its name says. */
  run(at: Attacked, roundMs: number): Promise<number>;
  /** Closes what `run` left open. */
  end?(): void;
}

export type ToAttacker =
  | { readonly type: "compute"; readonly roundMs: number }
  | { readonly type: "attack"; readonly name: string; readonly at: Attacked; readonly roundMs: number }
  | { readonly type: "end"; readonly name: string };
export type FromAttacker =
  | { readonly type: "done"; readonly count: number }
  | { readonly type: "failed"; readonly message: string };

/** The attacker's process. */
export interface Attacker {
  /** The control: it computes and sends nothing. */
  compute(roundMs: number): Promise<void>;
  /** @returns how often. Rejects with what the attacker could not do. */
  attack(attack: MeasuredAttack, at: Attacked, roundMs: number): Promise<number>;
  /** The row is over: closes what it left open. */
  end(attack: MeasuredAttack): Promise<void>;
  close(): Promise<void>;
}

export function startAttacker(): Attacker {
  const child = fork(fileURLToPath(new URL("attacker.child.ts", import.meta.url)));
  return {
    compute: async (roundMs) => void (await ask(child, { type: "compute", roundMs })),
    attack: ({ name }, at, roundMs) => ask(child, { type: "attack", name, at, roundMs }),
    end: async ({ name }) => void (await ask(child, { type: "end", name })),
    async close() {
      const exit = once(child, "exit");
      child.disconnect();
      await exit;
    },
  };
}

function ask(child: ChildProcess, message: ToAttacker): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the attacker's process ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (answer: FromAttacker) => {
      child.off("exit", onExit);
      if (answer.type === "done") resolve(answer.count);
      else reject(new Error(answer.message));
    });
    child.send(message);
  });
}
