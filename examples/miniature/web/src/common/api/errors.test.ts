import assert from "node:assert/strict";
import test from "node:test";

import { describeError, isUnauthorized, readMessages } from "./errors.ts";

test("messages of fields, then of the whole", () => {
    assert.deepEqual(readMessages({ slug: ["taken", "too long"], code: "invalid" }), ["slug: taken", "slug: too long"]);
    assert.deepEqual(readMessages({ detail: "no" }), ["no"]);
    assert.deepEqual(readMessages(null), []);
});

test("an answer's body says what went wrong, else its status does", async () => {
    const failed = (body: string, status: number) => ({ response: new Response(body, { status, statusText: "Nope" }) });

    assert.equal(await describeError(failed('{"detail": "Log-in failed."}', 401)), "Log-in failed.");
    assert.equal(await describeError(failed("<html>", 502)), "502 Nope");
    assert.equal(await describeError(new Error("gone")), "gone");
    assert.ok(isUnauthorized(failed("", 403)));
    assert.ok(!isUnauthorized(failed("", 500)));
});
