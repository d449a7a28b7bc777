package node

import (
	"context"
	"maps"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestSourceAtOdds has projects that are not what their lock was made for, and locks that ask for what cannot be had: an
// error says what, and where in the lock.
func TestSourceAtOdds(t *testing.T) {
	project := map[string]string{
		"package.json":     `{"name":"app","workspaces":["w/*"],"dependencies":{"a":"1.0.0","t":"file:t.tgz"},"overrides":{"b":"2.0.0"}}`,
		"w/x/package.json": `{"name":"x","version":"1.0.0"}`,
		"w/y/package.json": `{"name":"y","version":"1.0.0","dependencies":{"x":"^1.0.0"}}`,
		"t.tgz":            string(tgz(t, entry{name: "package/package.json", content: `{"name":"t","version":"1.0.0"}`})),
		"package-lock.json": `{"name":"app","lockfileVersion":3,"packages":{
"":{"name":"app","workspaces":["w/*"],"dependencies":{"a":"1.0.0","t":"file:t.tgz"}},
"node_modules/a":{"version":"1.0.0","resolved":"https://npm.example/a/-/a-1.0.0.tgz","integrity":"{a}","dependencies":{"b":"^1.0.0"}},
"node_modules/b":{"version":"2.0.0","resolved":"https://npm.example/b/-/b-2.0.0.tgz","integrity":"{b}"},
"node_modules/t":{"version":"1.0.0","resolved":"file:t.tgz"},
"node_modules/x":{"resolved":"w/x","link":true},
"node_modules/y":{"resolved":"w/y","link":true},
"w/x":{"version":"1.0.0"},
"w/y":{"version":"1.0.0","dependencies":{"x":"^1.0.0"}}
}}`,
	}
	for name, c := range map[string]struct{ file, old, new, want string }{
		"as it was":             {},
		"override moved":        {"package.json", `"b":"2.0.0"`, `"b":"2.1.0"`, "package-lock.json:4: `packages.node_modules/b`: target it: the lock is not that of the project: `b` is locked as 2.0.0, but `overrides of package.json` wants 2.1.0"},
		"override of a version": {"package.json", `"b":"2.0.0"`, `"b@1":"2.0.0"`, ""},
		"renamed":               {"w/y/package.json", `"y"`, `"z"`, "the workspace `w/y` is locked as `y`, and called `z`"},
		"version of a member":   {"w/x/package.json", `1.0.0`, `2.0.0`, "`x` is locked as 2.0.0, but `w/y/package.json` wants ^1.0.0"},
		"file outside":          {"package-lock.json", `"resolved":"file:t.tgz"`, `"resolved":"file:../t.tgz"`, "package-lock.json:5: `packages.node_modules/t`: target it: package `t`: `../t.tgz` lies outside of the project"},
		"file gone":             {"t.tgz", "", "", "package-lock.json:5: `packages.node_modules/t`: target it: package `t`: `web/t.tgz` is not there"},
		"version with a path":   {"package-lock.json", `{"version":"2.0.0"`, `{"version":"../2"`, "\"../2\" is no version"},
		"no lock":               {"package-lock.json", "", "", "has no package-lock.json, npm-shrinkwrap.json, pnpm-lock.yaml or yarn.lock"},
	} {
		t.Run(name, func(t *testing.T) {
			w := plantest.New(t, Natives())
			web := maps.Clone(project)
			for _, id := range []string{"a-1.0.0", "b-2.0.0"} {
				b := tgz(t, entry{name: "package/package.json", content: "{}"})
				w.Files[id+".tgz"] = b
				web["package-lock.json"] = strings.Replace(web["package-lock.json"], "{"+id[:1]+"}", plantest.Integrity(b).String(), 1)
			}
			if c.old != "" && !strings.Contains(web[c.file], c.old) {
				t.Fatal("nothing to change")
			}
			if web[c.file] = strings.Replace(web[c.file], c.old, c.new, 1); c.old == "" {
				delete(web, c.file)
			}
			w.Sources["web"] = web
			_, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				return Modules(ctx, ask, ModulesOptions{Dir: engine.Source("web")})
			})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
