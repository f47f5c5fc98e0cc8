// `npm run docs`: writes the pages that are made from the code.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { makeReference } from "./reference.ts";

writeFileSync(fileURLToPath(new URL("../docs/kit/reference.md", import.meta.url)), makeReference());
