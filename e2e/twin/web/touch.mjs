// Uses what the package.json files name: esbuild bundles an entry that imports every package of the web interface, and
// rollup one that imports those of packages/sfe. Prints a line for each package.
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
const loader = Object.fromEntries([".node", ".wasm", ".svg", ".png", ".woff", ".woff2", ".ttf", ".eot"].map((e) => [e, "file"]));

/** A program that imports modules and keeps them. */
const entryOf = (modules) => modules.map((from, i) => `import * as m${i} from "${from}";\nconsole.log(m${i});\n`).join("");

/** Bundles a program; gives the bytes, or the errors. */
async function bundle(text, platform) {
    try {
        const made = await esbuild.build({
            stdin: { contents: text, resolveDir: process.cwd(), loader: "ts" },
            bundle: true,
            format: "esm",
            loader,
            logLevel: "silent",
            outdir: out,
            platform,
            write: false,
        });
        return { bytes: made.outputFiles.reduce((n, f) => n + f.contents.length, 0) };
    } catch (error) {
        return { error: error.errors?.[0]?.text ?? String(error) };
    }
}

/** A package is imported by its name; one of types or settings only, by its manifest. */
async function touch(name) {
    const tries = [
        [name, "browser"],
        [name, "node"],
        [`./${place(name)}/package.json`, "node"],
    ];
    const errors = [];
    for (const [from, platform] of tries) {
        const { bytes, error } = await bundle(entryOf([from]), platform);
        if (bytes) return { from, platform, errors };
        errors.push(error);
    }
    throw new Error(`${name}: ${errors.join("; ")}`);
}

const entries = { browser: [], node: [] };
for (const name of named("package.json")) {
    const { from, platform, errors } = await touch(name);
    entries[platform].push(from);
    console.log(name, platform, errors.length ? `(${errors[0]})` : "");
}
for (const [platform, modules] of Object.entries(entries)) {
    const { bytes, error } = await bundle(entryOf(modules), platform);
    if (!bytes) throw new Error(`${platform}: ${error}`);
    console.log("esbuild", platform, modules.length, "packages");
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
