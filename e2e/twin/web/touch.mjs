// Uses what the package.json files name: esbuild bundles an entry that imports every package of the web interface, and
// rollup one that imports those of packages/sfe. Prints a line for each package; a bundler that misses one fails.
//
//     node touch.mjs OUTPUT
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

import * as esbuild from "esbuild";

const out = process.argv[2];

/** Where a package's files are: beside the interface, as hoisted ones are. */
const place = (name, base = ".") => [join(base, "node_modules", name), join("node_modules", name)].find(existsSync);

/** The names that a manifest names; optional ones only where they are installed. */
function named(manifest, base) {
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8"));
    const optional = Object.keys(optionalDependencies).filter((name) => place(name, base));
    return [...new Set([...Object.keys(dependencies), ...optional])];
}

// Everything that is no JavaScript is taken as a file; what only runs on Node.js is not looked into.
const loader = Object.fromEntries([".node", ".wasm", ".svg", ".png", ".woff", ".woff2", ".ttf", ".eot", ".jpg"].map((e) => [e, "file"]));

/** Packages without a module of their own name: what stands for each, else its manifest (types and settings). */
const PART = {
    "@codemirror/legacy-modes": "@codemirror/legacy-modes/mode/shell",
    "@goauthentik/core": "@goauthentik/core/version/node",
    "@lit/localize-tools": "@lit/localize-tools/lib/config.js",
    "@openlayers-elements/core": "@openlayers-elements/core/ol-feature.js",
    "@openlayers-elements/maps": "@openlayers-elements/maps/ol-control.js",
    "@patternfly/elements": "@patternfly/elements/form-control.css",
    "@patternfly/patternfly": "@patternfly/patternfly/patternfly.css",
    "wireit": "wireit/lib/cli.js",
};
const TYPES = /^(@esbuild|@rollup|@swc|@types)\/(?!plugin|core$)|^(@hcaptcha\/types|turnstile-types|type-fest)$/;

/** Packages that run on Node.js and not in a browser. */
const TOOLS = new Set([
    ...["@goauthentik/core", "@goauthentik/eslint-config", "@goauthentik/prettier-config", "@lit/localize-tools"],
    ...["@playwright/test", "@spotlightjs/spotlight", "@typescript-eslint/eslint-plugin", "@typescript-eslint/parser"],
    ...["@vitest/browser", "chromedriver", "esbuild", "esbuild-plugin-copy", "eslint", "eslint-plugin-wc", "knip"],
    ...["lit-analyzer", "npm-run-all", "pino-pretty", "playwright", "typescript-eslint", "vite", "wireit"],
]);

/** What these would use if it were there. */
const OPTIONAL = ["@vitest/ui", "lightningcss", "webdriverio"];

/** A program that imports modules and keeps them. */
const entryOf = (modules) => modules.map((from, i) => `import * as m${i} from "${from}";\nconsole.log(m${i});\n`).join("");

const entries = { browser: [], node: [] };
for (const name of named("package.json")) {
    const from = TYPES.test(name) ? `./${place(name)}/package.json` : (PART[name] ?? name);
    entries[TOOLS.has(name) ? "node" : "browser"].push(from);
}
for (const [platform, modules] of Object.entries(entries)) {
    const { outputFiles } = await esbuild.build({
        stdin: { contents: entryOf(modules), resolveDir: process.cwd(), loader: "ts" },
        bundle: true,
        external: OPTIONAL,
        format: "esm",
        loader,
        logLevel: "error",
        logLimit: 0,
        outdir: out,
        platform,
        write: false,
    });
    for (const from of modules) console.log(platform, from);
    console.log("esbuild", platform, modules.length, "packages,", outputFiles.reduce((n, f) => n + f.contents.length, 0), "bytes");
}

// The packages that only rollup's half names, by rollup with its plug-ins.
const { rollup } = await import("rollup");
const { default: commonjs } = await import("@rollup/plugin-commonjs");
const { default: resolve } = await import("@rollup/plugin-node-resolve");
const { default: swc } = await import("@rollup/plugin-swc");
const { default: copy } = await import("rollup-plugin-copy");
const modules = ["@goauthentik/api", "bootstrap", "formdata-polyfill/formdata.min.js", "jquery", "weakmap-polyfill"];
const entry = "packages/sfe/entry.ts";
const virtual = {
    name: "entry",
    resolveId: (id) => (id === entry ? join(process.cwd(), entry) : null),
    load: (id) => (id.endsWith(entry) ? entryOf(modules) : null),
};
const made = await rollup({
    input: entry,
    onwarn() {},
    plugins: [
        virtual,
        copy({ targets: [] }),
        resolve({ browser: true }),
        commonjs(),
        swc({ swc: { jsc: { target: "es5", parser: { syntax: "typescript" }, loose: true } } }),
    ],
});
const { output } = await made.generate({ format: "cjs" });
if (output[0].code.length < 100_000) throw new Error("rollup left out what it was told to bundle");
console.log("rollup", modules.length, "packages");
