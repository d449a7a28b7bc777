/**
 * @file Addresses within the application.
 */

export const FlowURL = "/if/flow/default-authentication-flow/";

/** Where to go after the log-in: a path of this host only, whatever the query says. */
export function nextURL(query: string, fallback: string): string {
    const next = new URLSearchParams(query).get("next");

    // `//host` and `/\host` are addresses of other hosts.
    return next && /^\/(?![/\\])/.test(next) ? next : fallback;
}

/** The log-in page that leads back to `path`. */
export function loginURL(path: string): string {
    return `${FlowURL}?${new URLSearchParams({ next: path })}`;
}

/** A slug out of a name: what the form proposes. */
export function slugify(name: string): string {
    return name
        .normalize("NFKD")
        .replace(/\p{M}/gu, "")
        .toLowerCase()
        .replace(/[^a-z0-9_]+/g, "-")
        .replace(/^-+|-+$/g, "")
        .slice(0, 50);
}

/** An address that may stand in a link: http and https only. */
export function safeLaunchURL(url: string | undefined): string | null {
    if (!url) return null;

    return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) ? url : null;
}
