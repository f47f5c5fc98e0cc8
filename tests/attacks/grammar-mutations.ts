import fc, { type Arbitrary } from "fast-check";

/** One change of a session's lines; the numbers say where, modulo what is there. */
interface Mutation {
  readonly kind: "drop" | "repeat" | "swap" | "flip" | "cut" | "splice" | "insert";
  readonly line: number;
  readonly other: number;
  readonly at: number;
}

const fragments = [
  "[",
  "]",
  "[[",
  "]]",
  ",",
  '"',
  "0",
  "-1",
  "1e999",
  "null",
  '["promise",-1]',
  '["import",0,["then"],[]]',
];

const mutation: Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("drop", "repeat", "swap", "flip", "cut", "splice", "insert"),
  line: fc.nat(1_000),
  other: fc.nat(1_000),
  at: fc.nat(100_000),
});

/** `sessions` with one to six of their lines, or characters, not as they were. */
export function mutated(sessions: Arbitrary<string[]>): Arbitrary<string[]> {
  return fc
    .tuple(sessions, fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([lines, mutations]) => mutations.reduce(mutate, lines));
}

function mutate(lines: string[], { kind, line, other, at }: Mutation): string[] {
  if (lines.length === 0) return lines;
  const here = line % lines.length;
  const there = other % lines.length;
  const text = lines[here]!;
  const donor = lines[there]!;
  const middle = at % (text.length + 1);
  switch (kind) {
    case "drop":
      return lines.toSpliced(here, 1);
    case "repeat":
      return lines.toSpliced(there, 0, text);
    case "swap":
      return lines.with(here, donor).with(there, text);
    case "flip":
      return lines.with(here, flip(text, middle, other));
    case "cut":
      return lines.with(here, text.slice(0, middle));
    case "splice":
      return lines.with(here, text.slice(0, middle) + donor.slice(at % (donor.length + 1)));
    case "insert":
      return lines.with(here, text.slice(0, middle) + fragments[other % fragments.length]! + text.slice(middle));
    default:
      throw kind satisfies never;
  }
}

function flip(text: string, at: number, bit: number): string {
  if (at >= text.length) return text;
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << (bit % 8))) + text.slice(at + 1);
}
