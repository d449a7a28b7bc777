package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tsModules is how many modules the program of TypeScript has: about as many as the web interface whose dependencies the
// twin has.
const tsModules = 150

const tsConfig = `{
  "compilerOptions": {
    "target": "ES2022", "module": "ESNext", "moduleResolution": "bundler", "strict": true, "skipLibCheck": true,
    "declaration": true, "experimentalDecorators": true, "useDefineForClassFields": false, "types": [], "lib": ["ES2023", "DOM", "DOM.Iterable"],
    "rootDir": "src/bench", "outDir": "dist"
  },
  "include": ["src/bench"]
}
`

// tsModule is one module of the program: an element that shows what a function of types and generics gives, which uses
// the one of two other modules. NUMBER, FIRST and SECOND stand for numbers of modules.
const tsModule = `import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { customElement, property, state } from "lit/decorators.js";
import { formatDistance, parseISO } from "date-fns";
import { match, P } from "ts-pattern";
import type { SetOptional, Simplify } from "type-fest";
IMPORTS
export interface RecordNUMBER {
    pk: string;
    created: string;
    labels: Record<string, string[]>;
    kind: "user" | "group" | "source" | "stage";
    parent?: RecordNUMBER;
    values: ReadonlyArray<readonly [name: string, value: number | string | null]>;
}

export type DraftNUMBER = Simplify<SetOptional<Omit<RecordNUMBER, "pk">, "created" | "labels">>;

type Keyed<T, K extends keyof T> = { [P in T[K] & string]: Extract<T, Record<K, P>> };

export type ByKindNUMBER = Keyed<{ kind: "user"; name: string } | { kind: "group"; members: string[] } | { kind: "stage"; order: number }, "kind">;

export function collect<T extends { pk: string }, R>(items: readonly T[], by: (item: T, index: number) => R | undefined): Map<string, R> {
    const out = new Map<string, R>();
    items.forEach((item, i) => {
        const r = by(item, i);
        if (r !== undefined) {
            out.set(item.pk, r);
        }
    });
    return out;
}

export const describe = (r: RecordNUMBER): string =>
    match(r)
        .with({ kind: "user", parent: P.nonNullable }, (u) => u.parent.pk + "/" + u.pk)
        .with({ kind: P.union("group", "source") }, ({ kind, pk }) => kind + " " + pk)
        .otherwise(({ values }) => values.map(([name, value]) => name + "=" + (value ?? "none")).join(", "));

export function complete(draft: DraftNUMBER, pk = "element NUMBER"): RecordNUMBER {
    return { created: "2020-01-01", labels: {}, ...draft, pk };
}

@customElement("bench-element-NUMBER")
export class ElementNUMBER extends LitElement {
    static override styles = css` + "`:host { display: block; }`" + `;

    @property({ type: Array }) records: RecordNUMBER[] = [];
    @property({ type: Boolean, reflect: true }) open = false;
    @state() private chosen = new Set<string>();

    #toggle = (event: MouseEvent, pk: string): void => {
        event.preventDefault();
        this.chosen = this.chosen.has(pk) ? new Set([...this.chosen].filter((p) => p !== pk)) : new Set([...this.chosen, pk]);
        this.dispatchEvent(new CustomEvent<string[]>("bench-chosen", { detail: [...this.chosen], bubbles: true }));
    };

    protected renderRecord(r: RecordNUMBER): TemplateResult {
        const age = formatDistance(parseISO(r.created), new Date(2026, 0, 1), { addSuffix: true });
        return html` + "`<li @click=${(e: MouseEvent) => this.#toggle(e, r.pk)}>${describe(r)} ${age} ${Object.entries(r.labels).map(([k, v]) => html`<b>${k}: ${v.join()}</b>`)}</li>`" + `;
    }

    override render() {
        const known = collect(this.records, (r, i) => (r.parent ? { ...r.parent, i } : undefined));
        return this.open ? html` + "`<ul>${repeat(this.records, (r) => r.pk, (r) => this.renderRecord(r))}</ul>${known.size}`" + ` : nothing;
    }
}

export const all = [complete({ kind: "stage", values: [["NUMBER", NUMBER]] })USES];
`

// typescriptProject writes a program and its tsconfig.json beside the twin's package.json.
func typescriptProject(web string) error {
	files := map[string]string{"tsconfig.json": tsConfig}
	for i := range tsModules {
		imports, uses := "", ""
		if i > 0 {
			a, b := (i-1)/2, i-1 // a tree, and a chain
			imports = fmt.Sprintf("import { all as first } from \"./module%d.js\";\nimport { describe as second, type Record%d } from \"./module%d.js\";\n", a, b, b)
			uses = fmt.Sprintf(", ...first.map((r) => ({ ...r, pk: second({ ...r, parent: undefined } satisfies Record%d) }))", b)
			if i > 8 {
				uses = fmt.Sprintf(", complete({ kind: \"user\", values: first.slice(0, 3).map((r) => [second({ ...r, parent: undefined } satisfies Record%d), null] as const) })", b)
			}
		}
		text := strings.NewReplacer("IMPORTS", imports, "NUMBER", fmt.Sprint(i), "USES", uses).Replace(tsModule)
		files[fmt.Sprintf("src/bench/module%d.ts", i)] = text
	}
	for name, text := range files {
		at := filepath.Join(web, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// editTypescript compares one changed line of a program of TypeScript, with the twin's node_modules, with `tsc` in a work
// tree, in the same root: from nothing, and with what it knows of its run before. hewn has two recipes for it: one is
// tsc and nothing else; the other begins with what tsc knows of the same program as it once was, a source of its own.
func (l *locks) editTypescript(ctx context.Context) error {
	dir, err := l.workspace("workspace", nil)
	if err != nil {
		return err
	}
	if err := typescriptProject(filepath.Join(dir, "web")); err != nil {
		return err
	}
	if err := copyTree(filepath.Join(dir, "web/src/bench"), filepath.Join(dir, "base/src/bench"), nil); err != nil {
		return err
	}
	if err := appendFile(filepath.Join(dir, "sources.toml"), "\n[base]\npath = \"base\"\n"); err != nil {
		return err
	}
	refs := []string{dir + ":bench-typescript", dir + ":bench-typescript-base"}
	for _, ref := range refs {
		if _, err := l.b.build(l.full(), "build", ref).run(ctx); err != nil {
			return err
		}
	}
	root, err := l.root(ctx, "bench-tsc")
	if err != nil {
		return err
	}
	web := filepath.Join(root, "web")
	if err := typescriptProject(web); err != nil {
		return err
	}
	const command = "cd /web && exec node node_modules/typescript/bin/tsc -p ."
	full, known := inRoot(root, command, nil), inRoot(root, command+" --incremental --tsBuildInfoFile .tsbuildinfo", nil)
	if _, err := known.run(ctx); err != nil {
		return err
	}
	file := fmt.Sprintf("src/bench/module%d.ts", tsModules/2)
	e := &editor{ours: filepath.Join(dir, "web", file), theirs: filepath.Join(web, file), was: fmt.Sprintf(`"element %d"`, tsModules/2), text: `"element %d"`}
	for _, ref := range refs {
		ran, err := l.actionsAfter(ctx, e, ref)
		if err != nil {
			return err
		}
		l.b.say("run after an edit: %q", ran)
	}
	them, us := e.sides("tsc --incremental", known, l.b.build(l.full(), "--offline", "build", refs[0]))
	based := side{"hewn, from a base", func(int) (process, error) { return l.b.build(l.full(), "--offline", "build", refs[1]), e.edit(e.ours) }}
	alone := side{"tsc", func(int) (process, error) { return full, nil }}
	s, err := l.turns(ctx, them, us, based, alone)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("one line of TypeScript changed, %d modules", tsModules)
	l.compare(what+", from a base", incrementalGoal, s[2], s[0], "tsc --incremental", "the compiler")
	l.compare(what+", the whole program compiled", incrementalGoal, s[1], s[0], "tsc --incremental", "the compiler")
	l.compare("the same", incrementalGoal, s[1], s[3], "tsc", "the compiler")
	return nil
}
