package rust

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestStages shows in which order packages are compiled, and what is kept from those before.
func TestStages(t *testing.T) {
	const lock = "version = 4\n"
	pkg := func(name string) string { return "\n[[package]]\nname = \"" + name + "\"\nversion = \"0.1.0\"\n" }
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"alone": {map[string]string{"Cargo.toml": member("app", ""), "src/main.rs": ""}, "app [src]"},
		"root above its members": {map[string]string{
			"Cargo.toml": member("app", "[dependencies]\na = { path = \"crates/a\" }\nb = { path = \"crates/b\" }\n[workspace]\n"), "src/main.rs": "", "build.rs": "", "tests/it.rs": "", "web/index.html": "",
			"crates/a/Cargo.toml": member("a", "[dependencies]\nb = { path = \"../b\" }\n"), "crates/a/src/lib.rs": "",
			"crates/b/Cargo.toml": member("b", "[dev-dependencies]\na = { path = \"../a\" }\n"), "crates/b/src/lib.rs": "",
			"crates/c/Cargo.toml": member("c", ""), "crates/c/src/main.rs": ""}, "b [crates/b]; a [crates/a]; app [build.rs src tests]"},
		"program below a library": {map[string]string{
			"Cargo.toml": member("core", "[workspace]\nmembers = [\"cli\"]\n"), "src/lib.rs": "",
			"cli/Cargo.toml": member("cli", "[[bin]]\nname = \"app\"\npath = \"app.rs\"\n[dependencies]\ncore = { path = \"..\" }\n"), "cli/app.rs": ""}, "core [src]; cli [cli]"},
		"a package inside src": {map[string]string{
			"Cargo.toml": member("app", "[dependencies]\na = { path = \"src/a\" }\n"), "src/main.rs": "",
			"src/a/Cargo.toml": member("a", ""), "src/a/src/lib.rs": ""}, "a [src/a]; app []"},
		"two of that name": {map[string]string{
			"Cargo.toml":   "[workspace]\nmembers = [\"a\", \"b\"]\n",
			"a/Cargo.toml": member("app", ""), "a/src/main.rs": "", "b/Cargo.toml": member("b", ""), "b/src/bin/app/main.rs": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := plantest.New(t, Natives())
			w.Sources["app"] = c.files
			text := lock
			for _, n := range []string{"a", "app", "b", "c", "cli", "core"} {
				text += pkg(n)
			}
			c.files["Cargo.lock"] = text
			var got []string
			_, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				src := engine.Source("app")
				ws, err := readWorkspace(ctx, ask, src, "", "")
				if err != nil {
					return engine.Step{}, err
				}
				l, err := ws.lock(ctx)
				if err != nil {
					return engine.Step{}, err
				}
				p, err := readProject(ctx, ask, src)
				if err != nil {
					return engine.Step{}, err
				}
				for _, s := range ws.stages("app", p.roots, l) {
					for _, m := range s {
						hidden := slices.DeleteFunc(m.hidden(p.roots, p.manifests), func(at string) bool { return !there(c.files, at) })
						got = append(got, fmt.Sprint(m.name(), " ", hidden))
					}
				}
				return src.Step, nil
			})
			if s := strings.Join(got, "; "); err != nil || s != c.want {
				t.Errorf("got %q, want %q; %v", s, c.want, err)
			}
		})
	}
}

func there(files map[string]string, at string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(f string) bool { return f == at || strings.HasPrefix(f, at+"/") })
}
