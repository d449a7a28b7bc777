/**
 * @file The version that file names of the web interface carry.
 *
 * The server computes the same string when it writes a page; where the two differ, pages name files that do not exist.
 */

import manifest from "../../../../package.json" with { type: "json" };

/** The version of the application: that of the `package.json` at the root of the repository. */
export const Version = manifest.version;

/**
 * The version, followed by the build's hash where there is one.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @returns {string}
 */
export function readBuildIdentifier(environment = process.env) {
    const hash = environment.GIT_BUILD_HASH;

    return hash ? `${Version}+${hash}` : Version;
}
