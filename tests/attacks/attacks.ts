// `npm run attacks`: what takes too long, or is too noisy, for `npm test`.
import { parseArgs } from "node:util";

const usage = `npm run attacks -- --measure [WORD...]            what an honest customer notices; a table in Markdown
npm run attacks -- --without-defences [ROW...]   whether each test fails when its defence is off

WORD is a row (R17) or part of the name of an attack ("one-byte"); ROW is the beginning of a row's id.
--rounds N     rounds of each row of --measure (default 5): one alone, one beside the control, one attacked
--seconds S    length of a round of --measure (default 1.5)

The attacks themselves are tests: npx vitest run tests/attacks
`;

/** Nothing was run: the command line is wrong. */
function refuse(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        measure: { type: "boolean" },
        "without-defences": { type: "boolean" },
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "1.5" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    return refuse(`${(error as Error).message}\n\n${usage}`);
  }
}

function positive(name: string, text: string): number {
  const number = Number(text);
  return number > 0 && Number.isFinite(number)
    ? number
    : refuse(`--${name}: expected a number above 0, got ${JSON.stringify(text)}`);
}

const { values, positionals } = parse();
const rounds = Math.ceil(positive("rounds", values.rounds));
const roundMs = positive("seconds", values.seconds) * 1_000;
if (values.help) process.stdout.write(usage);
else if (values.measure) {
  // Loaded when it is wanted: what it needs of the system takes a second.
  const { measure, measuredNames, unknownWords } = await import("./measure.ts");
  const unknown = unknownWords(positionals);
  if (unknown.length > 0) refuse(`No measured attack is called ${unknown.join(", ")}. There are:\n${measuredNames()}`);
  process.stdout.write(await measure({ words: positionals, rounds, roundMs }));
} else if (values["without-defences"]) {
  const { unknownRows, withoutDefences } = await import("./without-defences.ts");
  const { unknown, known } = unknownRows(positionals);
  if (unknown.length > 0) refuse(`No defence has a row that begins with ${unknown.join(", ")}. There are:\n${known}`);
  process.exitCode = withoutDefences(positionals) === 0 ? 0 : 1;
} else refuse(usage);
