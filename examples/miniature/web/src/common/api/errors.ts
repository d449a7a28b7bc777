/**
 * @file What went wrong, in words for the person at the screen.
 */

/** Messages of an answer's body: those of single fields, then those of the whole. */
export function readMessages(body: unknown): string[] {
    if (typeof body === "string") return body ? [body] : [];
    if (Array.isArray(body)) return body.flatMap(readMessages);
    if (typeof body !== "object" || body === null) return [];

    return Object.entries(body).flatMap(([key, value]) => {
        if (key === "code") return [];
        const messages = readMessages(value);

        return key === "detail" || key === "non_field_errors"
            ? messages
            : messages.map((message) => `${key}: ${message}`);
    });
}

/** Anything that a call of the API threw, as one line. */
export async function describeError(error: unknown): Promise<string> {
    if (error && typeof error === "object" && "response" in error && error.response instanceof Response) {
        const body: unknown = await error.response
            .clone()
            .json()
            .catch(() => null);
        const messages = readMessages(body);

        return messages.length > 0 ? messages.join(" ") : `${error.response.status} ${error.response.statusText}`;
    }

    return error instanceof Error ? error.message : String(error);
}

/** Whether a call failed because nobody is logged in. */
export function isUnauthorized(error: unknown): boolean {
    return (
        !!error &&
        typeof error === "object" &&
        "response" in error &&
        error.response instanceof Response &&
        (error.response.status === 401 || error.response.status === 403)
    );
}
