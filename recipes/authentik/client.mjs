// The compiled TypeScript client loads as a module and has classes for the parts of the API.
// Arguments: where to write the report, the package's directory.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [out, dir] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(`${dir}/package.json`, "utf8"));
const client = createRequire(import.meta.url)(`${dir}/${manifest.main}`);
const apis = Object.keys(client).filter((name) => name.endsWith("Api"));
if (!apis.includes("CoreApi") || typeof client.Configuration !== "function") {
    throw new Error(`the client has no CoreApi or Configuration, only ${Object.keys(client).slice(0, 20)}`);
}
writeFileSync(out, apis.sort().map((name) => name + "\n").join(""));
