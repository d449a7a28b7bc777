/**
 * @file Bundles the simple log-in into ../../dist/sfe.
 */

import { readBuildIdentifier } from "@goauthentik/core/version/node";
import { resolve } from "node:path";

import commonjs from "@rollup/plugin-commonjs";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import swc from "@rollup/plugin-swc";
import copy from "rollup-plugin-copy";

const out = resolve("..", "..", "dist", "sfe");
const bootstrap = resolve("..", "..", "node_modules", "bootstrap", "dist", "css", "bootstrap.min.css");

/** @type {import("rollup").RollupOptions} */
const config = {
    input: "src/index.ts",
    output: {
        file: resolve(out, "index.js"),
        format: "iife",
        banner: `/* authentik simple log-in ${readBuildIdentifier()} */`,
        sourcemap: true,
    },
    context: "window",
    plugins: [
        copy({ targets: [{ src: bootstrap, dest: out }] }),
        nodeResolve({ browser: true, extensions: [".ts", ".js"] }),
        commonjs(),
        swc({
            swc: {
                jsc: {
                    loose: false,
                    externalHelpers: false,
                    keepClassNames: false,
                    parser: { syntax: "typescript" },
                    target: "es5",
                },
                sourceMaps: true,
                minify: false,
            },
        }),
    ],
};

export default config;
