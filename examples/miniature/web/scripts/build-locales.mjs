/**
 * @file Makes a module of each translation: xliff/*.xlf -> src/locales/*.ts, src/locale-codes.ts.
 */

import { spawnSync } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

import { PackageRoot } from "#paths/node";

await mkdir(join(PackageRoot, "src", "locales"), { recursive: true });

const { status, error } = spawnSync(
    process.execPath,
    [join(PackageRoot, "node_modules", "@lit", "localize-tools", "bin", "lit-localize.js"), "build"],
    { cwd: PackageRoot, stdio: "inherit" },
);

if (error) throw error;
if (status !== 0) process.exit(status ?? 1);

const locales = await readdir(join(PackageRoot, "src", "locales"));
console.log(`Locales: ${locales.sort().join(", ")}`);
