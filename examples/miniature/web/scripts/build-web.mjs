/**
 * @file Builds the web interface into dist/.
 *
 *     node scripts/build-web.mjs            everything
 *     node scripts/build-web.mjs --proxy    only what an outpost shows
 *     node scripts/build-web.mjs --watch    everything, again at each change
 *
 * Reads NODE_ENV (minified if it is `production`) and GIT_BUILD_HASH (becomes part of file names).
 *
 * @import { BuildOptions } from "esbuild";
 */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { mdxPlugin } from "#bundler/mdx-plugin/node";
import { createBundleDefinitions } from "#bundler/utils/node";
import { DistDirectory, EntryPoint, PackageRoot } from "#paths/node";

import { NodeEnvironment } from "@goauthentik/core/environment/node";
import { MonoRepoRoot } from "@goauthentik/core/paths/node";
import { readBuildIdentifier } from "@goauthentik/core/version/node";

import { deepmerge } from "deepmerge-ts";
import esbuild from "esbuild";
import copy from "esbuild-plugin-copy";

const { values: flags } = parseArgs({
    options: { proxy: { type: "boolean", default: false }, watch: { type: "boolean", default: false } },
});

/** @type {BuildOptions} */
const common = {
    absWorkingDir: PackageRoot,
    bundle: true,
    write: true,
    outdir: DistDirectory,
    entryNames: `[dir]/[name]-${readBuildIdentifier()}`,
    chunkNames: "chunks/[hash]",
    assetNames: "assets/[dir]/[name]-[hash]",
    format: "esm",
    splitting: true,
    target: "es2022",
    sourcemap: true,
    legalComments: "external",
    minify: NodeEnvironment === "production",
    treeShaking: true,
    loader: { ".svg": "dataurl" },
    tsconfig: join(PackageRoot, "tsconfig.json"),
    define: createBundleDefinitions(),
    logLevel: "info",
    plugins: [mdxPlugin({ root: MonoRepoRoot })],
};

/** @type {BuildOptions} */
const interfaces = deepmerge(common, {
    entryPoints: Object.values(EntryPoint),
    plugins: [
        copy({
            resolveFrom: "cwd",
            globbyOptions: { cwd: PackageRoot },
            assets: [
                { from: ["./icons/*"], to: ["./dist/assets/icons"] },
                { from: ["./images/*"], to: ["./dist/assets/images"] },
            ],
        }),
    ],
});

/** @type {BuildOptions} */
const proxy = deepmerge(common, {
    entryPoints: [EntryPoint.StandaloneLoading, EntryPoint.InterfaceStyles],
});

const options = flags.proxy ? proxy : interfaces;

await rm(DistDirectory, { recursive: true, force: true });

if (flags.watch) {
    const context = await esbuild.context(options);
    await context.watch();
} else {
    console.log(`Building ${readBuildIdentifier()} (${NodeEnvironment})`);
    await esbuild.build(options);
}
