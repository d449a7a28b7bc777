/**
 * @file How the interface talks to the API: through the generated client, with the session's cookie.
 */

import { Configuration, type Middleware, type RequestContext, type FetchParams } from "@goauthentik/api";

export const CSRFHeaderName = "X-authentik-CSRF";
export const CSRFCookieName = "authentik_csrf";

/** The value of a cookie that scripts may read; empty where there is none. */
export function readCookie(name: string, cookies: string): string {
    for (const part of cookies.split(";")) {
        const [key, ...rest] = part.trim().split("=");
        if (key === name) return decodeURIComponent(rest.join("="));
    }

    return "";
}

const safeMethods = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Adds to each request that changes something the proof that a page of ours sent it. */
export class CSRFMiddleware implements Middleware {
    pre(context: RequestContext): Promise<FetchParams> {
        const method = (context.init.method ?? "GET").toUpperCase();
        if (!safeMethods.has(method)) {
            const headers = new Headers(context.init.headers);
            headers.set(CSRFHeaderName, readCookie(CSRFCookieName, document.cookie));
            context.init.headers = headers;
        }

        return Promise.resolve(context);
    }
}

export const DEFAULT_CONFIG = new Configuration({
    basePath: process.env.AK_API_BASE_PATH || `${window.location.origin}/api/v3`,
    credentials: "same-origin",
    middleware: [new CSRFMiddleware()],
});
