/**
 * @file Where things lie in this repository.
 */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * The root of the repository: the directory above `web/`.
 *
 * Node resolves links before it runs a module, so this holds for the link in `node_modules` too.
 */
export const MonoRepoRoot = resolve(here, "..", "..", "..", "..");
