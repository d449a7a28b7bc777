/**
 * @file What the sources may read as `process.env.NAME`.
 */

import { defineEnvironment, NodeEnvironment } from "@goauthentik/core/environment/node";
import { readBuildIdentifier, Version } from "@goauthentik/core/version/node";

/**
 * @returns {Record<string, string>}
 */
export function createBundleDefinitions() {
    return defineEnvironment({
        NODE_ENV: NodeEnvironment,
        AK_VERSION: Version,
        AK_BUILD: readBuildIdentifier(),
        AK_API_BASE_PATH: process.env.AK_API_BASE_PATH ?? "",
    });
}
