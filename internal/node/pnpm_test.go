package node

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// pnpmWorld has the files of a case as the source "web" and the packages of testdata/pnpm/registry.jsonl.
func pnpmWorld(t testing.TB, ar *txtar.Archive, linker, major string) *plantest.World {
	t.Helper()
	w := plantest.New(t, Natives())
	maps.Copy(w.Files, pnpmTarballs(t))
	web := map[string]string{"pnpm-workspace.yaml": ""}
	for _, f := range ar.Files {
		if !strings.HasPrefix(f.Name, "want/") {
			web[f.Name] = string(f.Data)
		}
	}
	var manifest map[string]any
	if err := json.Unmarshal([]byte(web["package.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	manifest["packageManager"] = "pnpm@" + major + ".1.0+sha512.00"
	b, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	web["package.json"] = string(b)
	if linker != "" {
		web["pnpm-workspace.yaml"] = "nodeLinker: " + linker + "\n" + web["pnpm-workspace.yaml"]
	}
	// The test's sources are executable where they begin with "#!", which the cases are not.
	for n, text := range web {
		if strings.HasPrefix(text, "#!") {
			web[n] = "\n" + text
		}
	}
	w.Sources["web"] = web
	return w
}

func pnpmBuild(w *plantest.World, o ModulesOptions) (string, error) {
	o.Dir = engine.Source("web")
	t, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Modules(ctx, ask, o) })
	if err != nil {
		return "", err
	}
	return w.Paths(t), nil
}

// TestAsPnpm compares what is laid out with what pnpm left, as TestRecordPnpm recorded it.
func TestAsPnpm(t *testing.T) {
	cases, _ := filepath.Glob("testdata/pnpm/cases/*.txtar")
	for _, file := range cases {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for _, f := range ar.Files {
			want, ok := strings.CutPrefix(f.Name, "want/")
			if !ok {
				continue
			}
			linker, majors, _ := strings.Cut(want, "-")
			for _, major := range strings.Split(majors, "-") {
				t.Run(name+"/"+linker+"-"+major, func(t *testing.T) {
					if strings.HasPrefix(name, "limits") && linker+major == "hoisted12" {
						t.Skip("pnpm 12 lays packages out twice and links over them; here it is as with pnpm 11")
					}
					got, err := pnpmBuild(pnpmWorld(t, ar, linker, major), ModulesOptions{})
					if err != nil {
						t.Fatal(err)
					}
					want := string(f.Data)
					if linker == "hoisted" && major == "12" {
						// A command that another package's takes the place of is executable all the same.
						want = strings.ReplaceAll(want, "/clash-b/b.js\n", "/clash-b/b.js*\n")
					}
					if a, b := sorted(got), sorted(want); !slices.Equal(a, b) {
						t.Errorf("differs (- pnpm, + here):\n%s", lineDiff(b, a))
					}
				})
			}
		}
	}
}

func sorted(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(lines)
	return lines
}

func lineDiff(a, b []string) string {
	var out []string
	for _, l := range a {
		if !slices.Contains(b, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

func TestPnpmRefuses(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/pnpm/cases/workspace.txtar")
	if err != nil {
		t.Fatal(err)
	}
	patched, err := txtar.ParseFile("testdata/pnpm/cases/patched.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		ar     *txtar.Archive
		change func(web map[string]string)
		opts   ModulesOptions
		want   string
	}{
		{"an unknown major", ar, func(web map[string]string) {
			web["package.json"] = strings.Replace(web["package.json"], "pnpm@10", "pnpm@13", 1)
		}, ModulesOptions{}, "the layouts of `pnpm@13.1.0+sha512.00` are not known here; those of pnpm 10, 11 and 12 are"},
		{"another package manager", ar, func(web map[string]string) {
			web["package.json"] = `{"packageManager": "yarn@4.0.0"}`
		}, ModulesOptions{}, "the layouts of `yarn@4.0.0` are not known here"},
		{"no version", ar, func(web map[string]string) { web["package.json"] = "{}" }, ModulesOptions{}, "does not say which pnpm"},
		{"another patch", patched, func(web map[string]string) { web["patches/mid.patch"] += "\n" }, ModulesOptions{},
			"the lock is not that of the project: the patch `patches/mid.patch` had the hash d4d06d3c"},
		{"another linker", ar, func(web map[string]string) { web["pnpm-workspace.yaml"] = "nodeLinker: pnp\n" }, ModulesOptions{}, "nodeLinker `pnp` cannot be laid out"},
		{"a setting", ar, func(web map[string]string) { web["pnpm-workspace.yaml"] = "\nmodulesDir: x\n" }, ModulesOptions{}, "pnpm-workspace.yaml:2: `modulesDir`"},
		{"only", ar, func(map[string]string) {}, ModulesOptions{Only: []string{"nothing"}}, "`only` names `nothing`, which no project of the lock depends on"},
		{"a project that is gone", ar, func(web map[string]string) { delete(web, "packages/a/package.json") }, ModulesOptions{}, "the lock has a project `packages/a`"},
		{"a replacement for nothing", ar, func(map[string]string) {},
			ModulesOptions{Replace: map[string]engine.Step{"nothing": engine.Source("web").Step}}, "package `nothing` cannot be replaced"},
		{"an old lock", ar, func(web map[string]string) { web["pnpm-lock.yaml"] = "lockfileVersion: '6.0'\n" }, ModulesOptions{}, "lockfileVersion 6.0 is not known here"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			w := pnpmWorld(t, c.ar, "isolated", "10")
			c.change(w.Sources["web"])
			if _, err := pnpmBuild(w, c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestPnpmManagerOfRepository: packageManager may stand in the package.json of the repository's root.
func TestPnpmManagerOfRepository(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/pnpm/cases/simple.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, major := range []string{"10", "12"} {
		w := pnpmWorld(t, ar, "hoisted", major)
		want, err := pnpmBuild(w, ModulesOptions{})
		if err != nil {
			t.Fatal(err)
		}
		web := w.Sources["web"]
		web["package.json"] = strings.Replace(web["package.json"], `"packageManager":"pnpm@`+major+`.1.0+sha512.00"`, `"private":true`, 1)
		w.Sources["top"] = map[string]string{"package.json": `{"packageManager": "pnpm@` + major + `.1.0"}`}
		if _, err := pnpmBuild(w, ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "does not say which pnpm") {
			t.Errorf("without it: %v", err)
		}
		got, err := pnpmBuild(w, ModulesOptions{Project: engine.Source("top")})
		if err != nil || got != want {
			t.Errorf("pnpm %s: %v\ngot\n%s\nwant\n%s", major, err, got, want)
		}
	}
}

// TestPnpmSettings shows where settings come from, and what the options of a recipe do.
func TestPnpmSettings(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/pnpm/cases/simple.txtar")
	if err != nil {
		t.Fatal(err)
	}
	paths := func(major, npmrc string, o ModulesOptions) string {
		w := pnpmWorld(t, ar, "isolated", major)
		w.Sources["web"][".npmrc"] = npmrc
		w.Sources["other"] = map[string]string{"other.js": ""}
		got, err := pnpmBuild(w, o)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	const hidden, public = "node_modules/.pnpm/node_modules/cyc-b ->", "\nnode_modules/cyc-b ->"
	if got := paths("10", "public-hoist-pattern[]=cyc-*\n", ModulesOptions{}); !strings.Contains(got, public) || strings.Contains(got, hidden) {
		t.Errorf("pnpm 10 reads .npmrc:\n%s", got)
	}
	if got := paths("11", "public-hoist-pattern[]=cyc-*\n", ModulesOptions{}); strings.Contains(got, public) || !strings.Contains(got, hidden) {
		t.Errorf("pnpm 11 does not:\n%s", got)
	}
	if got := paths("11", "", ModulesOptions{OmitDev: true}); strings.Contains(got, "single-bin") || !strings.Contains(got, "node_modules/top ->") {
		t.Errorf("without development:\n%s", got)
	}
	got := paths("11", "", ModulesOptions{Replace: map[string]engine.Step{"top": engine.Source("other").Step}})
	if !strings.Contains(got, ".pnpm/top@1.0.0/node_modules/top/other.js\n") || strings.Contains(got, "top/package.json") {
		t.Errorf("replaced:\n%s", got)
	}
}
