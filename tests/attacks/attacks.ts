// `npm run attacks`: what takes too long, or is too noisy, for `npm test`.
import { parseArgs } from "node:util";
import { measure } from "./measure.ts";
import { withoutDefences } from "./without-defences.ts";

const usage = `npm run attacks -- --measure [WORD...]            what an honest customer notices; a table in Markdown
npm run attacks -- --without-defences [ROW...]   whether each test fails when its defence is off

The attacks themselves are tests: npx vitest run tests/attacks
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { measure: { type: "boolean" }, "without-defences": { type: "boolean" } },
});
if (values.measure) process.stdout.write(await measure(positionals));
else if (values["without-defences"]) process.exitCode = withoutDefences(positionals) === 0 ? 0 : 1;
else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
