// The version stands in the package.json of the repository's root.
import { readFileSync } from "node:fs";

export const version = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8")).version;
