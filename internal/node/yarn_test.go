package node

import (
	"context"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// yarnWorld is a project that needs a package with a script, which needs one that is for macOS only.
func yarnWorld(t *testing.T) *plantest.World {
	w := plantest.New(t, Natives())
	lock := "# yarn lockfile v1\n\n"
	for name, manifest := range map[string]string{
		"a": `{"name": "a", "scripts": {"install": "echo built > built.txt"}, "bin": "./a.sh"}`,
		"b": `{"name": "b", "os": ["darwin"]}`,
	} {
		file := tgz(t, entry{name: "package/package.json", content: manifest}, entry{name: "package/a.sh", content: "#!/bin/sh"})
		w.Files[name+"-1.0.0.tgz"] = file
		lock += "\n" + name + "@^1.0.0:\n  version \"1.0.0\"\n  resolved \"https://npm.example/" + name + "/-/" + name + "-1.0.0.tgz\"\n  integrity " + plantest.Integrity(file).String() + "\n"
		if name == "a" {
			lock += "  optionalDependencies:\n    b \"^1.0.0\"\n"
		}
	}
	w.Sources["root"] = map[string]string{"bin/sh": "#!"}
	w.Sources["web"] = map[string]string{"package.json": `{"name": "app", "dependencies": {"a": "^1.0.0"}}`, "yarn.lock": lock}
	return w
}

func yarnBuild(w *plantest.World, o ModulesOptions) (string, error) {
	o.Dir = engine.Source("web")
	tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Modules(ctx, ask, o) })
	if err != nil {
		return "", err
	}
	return w.Paths(tr), nil
}

func TestYarnScripts(t *testing.T) {
	w := yarnWorld(t)
	got, err := yarnBuild(w, ModulesOptions{})
	want := "node_modules/.bin/a -> ../a/a.sh\nnode_modules/a/a.sh*\nnode_modules/a/package.json\n"
	if err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	if len(w.Notes) != 1 || !strings.Contains(w.Notes[0], "skipped of a@1.0.0;") {
		t.Errorf("noted %q", w.Notes)
	}
	got, err = yarnBuild(w, ModulesOptions{Scripts: Scripts{Allow: []string{"a", "b"}, At: "/web", Layers: []engine.Layer{{Step: engine.Source("root").Step, At: "/"}}}})
	if err != nil || !strings.Contains(got, "node_modules/a/empty\n") || len(w.Ran) != 1 {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestYarnReplace(t *testing.T) {
	w := yarnWorld(t)
	w.Sources["other"] = map[string]string{"other.js": ""}
	got, err := yarnBuild(w, ModulesOptions{Replace: map[string]engine.Step{"a": engine.Source("other").Step}})
	if want := "node_modules/a/other.js\n"; err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := yarnBuild(w, ModulesOptions{Replace: map[string]engine.Step{"nowhere": engine.Source("other").Step}}); err == nil || !strings.Contains(err.Error(), "`nowhere` cannot be replaced") {
		t.Errorf("got %v", err)
	}
}

func TestYarnRefused(t *testing.T) {
	for _, c := range []struct {
		name, file, text, want string
		o                      ModulesOptions
	}{
		{"berry", "yarn.lock", "__metadata:\n  version: 8\n", "made by yarn 2 or newer", ModulesOptions{}},
		{"nohoist", "package.json", `{"workspaces": {"packages": ["p/*"], "nohoist": ["**"]}}`, "`nohoist`", ModulesOptions{}},
		{"pnp", "package.json", `{"installConfig": {"pnp": true}}`, "installConfig.pnp", ModulesOptions{}},
		{"only", "", "", "a yarn.lock is installed whole", ModulesOptions{Only: []string{"a"}}},
		{"platform", "package.json", `{"dependencies": {"b": "^1.0.0"}}`, "package `b` is not made for linux/amd64", ModulesOptions{}},
		{"differs", "package.json", `{"dependencies": {"a": "^2.0.0"}}`, "`a@^2.0.0` is not in the lock, but `package.json` wants it", ModulesOptions{}},
		{"outside", "package.json", `{"dependencies": {"c": "file:../c"}}`, "lies outside of the project", ModulesOptions{}},
		{"workspace without a version", "p/one/package.json", `{"name": "one"}`, "a workspace needs a name and a version", ModulesOptions{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := yarnWorld(t)
			switch c.name {
			case "outside":
				w.Sources["web"]["yarn.lock"] += "\n\"c@file:../c\":\n  version \"1.0.0\"\n"
			case "workspace without a version":
				w.Sources["web"]["package.json"] = `{"workspaces": ["p/*"]}`
			}
			if c.file != "" {
				w.Sources["web"][c.file] = c.text
			}
			if _, err := yarnBuild(w, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
