import assert from "node:assert/strict";
import test from "node:test";

import { compilePage } from "./node.js";

test("a page has a title and lowered headings", async () => {
    const page = await compilePage("---\ntitle: Applications\n---\n\n# One\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");

    assert.equal(page.title, "Applications");
    assert.match(page.html, /<h3>One<\/h3>/);
    assert.match(page.html, /<td>2<\/td>/);
    assert.doesNotMatch(page.html, /title:/);
});

test("raw HTML does not get through", async () => {
    const page = await compilePage('<script>alert("no")</script>\n\ntext');

    assert.doesNotMatch(page.html, /<script>/);
});
