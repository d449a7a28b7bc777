package node

import (
	"context"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

// TestPnpmUnpack has what pnpm makes of a package's files where npm does something else, and from which major on.
func TestPnpmUnpack(t *testing.T) {
	manifest := entry{name: "package/package.json", content: `{"name":"a","version":"1.0.0","bin":"cli.js"}`}
	files := []entry{manifest, {name: "package/cli.js", content: "#!/usr/bin/env node\r\nx\r\n"}, {name: "package/lib/.gitignore", content: "git"}}
	for major, first := range map[string]string{"10": "#!/usr/bin/env node\nx\r\n", "12": "#!/usr/bin/env node\r\nx\r\n"} {
		w := plantest.New(t, Natives())
		w.Sources["web"] = map[string]string{
			"package.json":        `{"name":"app","packageManager":"pnpm@` + major + `.1.0","dependencies":{"a":"file:a.tgz","b":"file:b"}}`,
			"pnpm-workspace.yaml": "nodeLinker: hoisted\n", "a.tgz": string(tgz(t, files...)),
			"b/package.json": `{"name":"b","version":"1.0.0","bin":"cli.js"}`, "b/cli.js": "#!/usr/bin/env node\r\nx\r\n",
			"pnpm-lock.yaml": `lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      a:
        specifier: file:a.tgz
        version: file:a.tgz
      b:
        specifier: file:b
        version: file:b

packages:

  a@file:a.tgz:
    resolution: {tarball: file:a.tgz}
    version: 1.0.0
    hasBin: true

  b@file:b:
    resolution: {directory: b, type: directory}
    hasBin: true

snapshots:

  a@file:a.tgz: {}

  b@file:b: {}
`}
		tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
			return Modules(ctx, ask, ModulesOptions{Dir: engine.Source("web")})
		})
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[string]string{"a/cli.js": first, "b/cli.js": first, "a/lib/.gitignore": "git"} {
			if got := readText(t, w, tr, "node_modules/"+at); got != want {
				t.Errorf("pnpm %s: %s: %q, want %q", major, at, got, want)
			}
		}
	}
}

func readText(t *testing.T, w *plantest.World, tr tree.Tree, at string) string {
	t.Helper()
	p := &project{t: t, world: w}
	return p.read(tr, at)
}
