/**
 * @file What kind of build this is.
 */

/** @type {"production" | "development"} */
export const NodeEnvironment = process.env.NODE_ENV === "production" ? "production" : "development";

/**
 * Values that the sources read as `process.env.NAME`, for esbuild's `define`.
 *
 * @param {Record<string, string>} values
 * @returns {Record<string, string>}
 */
export function defineEnvironment(values) {
    return Object.fromEntries(
        Object.entries(values).map(([name, value]) => [`process.env.${name}`, JSON.stringify(value)]),
    );
}
