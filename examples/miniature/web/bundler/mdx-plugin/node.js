/**
 * @file An esbuild plug-in that makes a module of a page of the documentation.
 *
 * `import help from "~docs/applications.md"` reads `website/docs/applications.md`: the root of such imports is the
 * repository, not this package. The module's value is `{ title, html }`; whatever follows `---` on the first line is the
 * page's front matter.
 *
 * @import { Plugin } from "esbuild";
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import rehypeStringify from "rehype-stringify";
import remarkFrontmatter from "remark-frontmatter";
import remarkGfm from "remark-gfm";
import remarkParse from "remark-parse";
import remarkRehype from "remark-rehype";
import { unified } from "unified";
import { visit } from "unist-util-visit";
import { parse } from "yaml";

const prefix = "~docs/";

/** Reads the front matter into the page's data. */
function remarkReadFrontmatter() {
    return (tree, file) => {
        visit(tree, "yaml", (node) => {
            file.data.frontmatter = parse(node.value);
        });
    };
}

/** Moves headings two levels down: a page is shown inside one that has a title already. */
function remarkLowerHeadings() {
    return (tree) => {
        visit(tree, "heading", (node) => {
            node.depth = Math.min(6, node.depth + 2);
        });
    };
}

const processor = unified()
    .use(remarkParse)
    .use(remarkFrontmatter)
    .use(remarkReadFrontmatter)
    .use(remarkGfm)
    .use(remarkLowerHeadings)
    .use(remarkRehype)
    .use(rehypeStringify);

/**
 * @param {string} source
 * @returns {Promise<{title: string, html: string}>}
 */
export async function compilePage(source) {
    const file = await processor.process(source);

    return { title: file.data.frontmatter?.title ?? "", html: String(file) };
}

/**
 * @param {{root: string}} options `root` is the repository's.
 * @returns {Plugin}
 */
export function mdxPlugin({ root }) {
    return {
        name: "mdx-plugin",
        setup(build) {
            // The path gets into source maps: it must not say where the repository lies.
            build.onResolve({ filter: /^~docs\/.*\.mdx?$/ }, ({ path }) => ({
                path: path.slice(prefix.length),
                namespace: "docs",
            }));

            build.onLoad({ filter: /.*/, namespace: "docs" }, async ({ path }) => {
                const file = join(root, "website", "docs", path);

                return {
                    contents: JSON.stringify(await compilePage(await readFile(file, "utf8"))),
                    loader: "json",
                    watchFiles: [file],
                };
            });
        },
    };
}
