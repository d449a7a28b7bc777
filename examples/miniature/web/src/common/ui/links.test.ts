import assert from "node:assert/strict";
import test from "node:test";

import { loginURL, nextURL, safeLaunchURL, slugify } from "./links.ts";

test("a log-in leads back to paths of this host only", () => {
    assert.equal(nextURL("?next=/if/admin/", "/if/user/"), "/if/admin/");

    for (const query of ["", "?next=", "?next=https://other.example/", "?next=//other.example", "?next=/%5Cother.example"]) {
        assert.equal(nextURL(query, "/if/user/"), "/if/user/", query);
    }
});

test("the log-in page remembers where one was", () => {
    assert.equal(nextURL(new URL(loginURL("/if/admin/?a=b"), "http://id.example").search, ""), "/if/admin/?a=b");
});

test("a slug of a name", () => {
    assert.equal(slugify("Über Café №1"), "uber-cafe-no1");
    assert.equal(slugify("  --  "), "");
    assert.equal(slugify("x".repeat(80)).length, 50);
});

test("only web addresses become links", () => {
    assert.equal(safeLaunchURL("https://wiki.example/"), "https://wiki.example/");
    assert.equal(safeLaunchURL("javascript:alert(1)"), null);
    assert.equal(safeLaunchURL(undefined), null);
});
