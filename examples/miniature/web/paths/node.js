/**
 * @file Where things lie in this package, and what is built from it.
 */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const PackageRoot = resolve(dirname(fileURLToPath(import.meta.url)), "..");

export const DistDirectory = resolve(PackageRoot, "dist");

/**
 * What pages load. `in` is a source, `out` the path below `dist` that the version is added to.
 *
 * @satisfies {Record<string, {in: string, out: string}>}
 */
export const EntryPoint = {
    Admin: { in: resolve(PackageRoot, "src/admin/AdminInterface.ts"), out: "admin/AdminInterface" },
    Flow: { in: resolve(PackageRoot, "src/flow/FlowInterface.ts"), out: "flow/FlowInterface" },
    User: { in: resolve(PackageRoot, "src/user/UserInterface.ts"), out: "user/UserInterface" },
    InterfaceStyles: { in: resolve(PackageRoot, "src/styles/interface.css"), out: "styles/interface" },
    StandaloneLoading: {
        in: resolve(PackageRoot, "src/standalone/loading/index.entrypoint.ts"),
        out: "standalone/loading/index",
    },
};
