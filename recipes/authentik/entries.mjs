// Every entry point of the web interface exists, is not empty and parses as a module.
// Arguments: where to write the report, the directory of the built interface, the entry points without their version.
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { SourceTextModule } from "node:vm";

const [out, dist, ...entries] = process.argv.slice(2);
const found = [];
for (const entry of entries) {
    const files = globSync(`${dist}/${entry}*.js`);
    if (files.length === 0) throw new Error(`no ${entry}*.js in ${dist}`);
    found.push(...files);
}
for (const file of found) {
    const text = readFileSync(file, "utf8");
    if (text.trim() === "") throw new Error(`${file} is empty`);
    new SourceTextModule(text, { identifier: file });
}
writeFileSync(out, found.sort().map((f) => f + "\n").join(""));
