package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// scripted is a layout of packages, each with the places of what it needs.
type scripted struct {
	t     *testing.T
	w     *plantest.World
	list  []Installed
	known []string
}

func newScripted(t *testing.T, needs map[string]string) *scripted {
	s := &scripted{t: t, w: plantest.New(t, Natives())}
	s.w.Sources["root"] = map[string]string{"bin/sh": "#!"}
	modules := map[string]string{}
	for _, at := range slices.Sorted(maps.Keys(needs)) {
		name := at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
		manifest := `{"scripts": {"postinstall": "build"}}`
		modules[at+"/package.json"] = manifest
		s.w.Sources["files-"+name] = map[string]string{"package.json": manifest}
		p := Installed{Name: name, Version: "1.0.0", Path: at, Has: true, Files: engine.Source("files-" + name), Beside: []string{"node_modules/.bin/" + name}}
		for _, n := range strings.Fields(needs[at]) {
			p.Needs = append(p.Needs, "node_modules/"+n)
		}
		s.list = append(s.list, p)
	}
	s.w.Sources["modules"] = modules
	return s
}

func (s *scripted) run(allow ...string) (string, error) {
	s.w.Ran = nil
	tr, err := s.w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		o := Scripts{Allow: allow, At: "/web", Layers: []engine.Layer{{Step: engine.Source("root").Step, At: "/"}}}
		return RunScripts(ctx, ask, engine.Source("modules").Step, s.list, s.known, "package-lock.json", o)
	})
	if err != nil {
		return "", err
	}
	return s.w.Paths(tr), nil
}

// seen are the paths below /web in the root of the action for a package.
func (s *scripted) seen(place string) string {
	for _, r := range s.w.Ran {
		if r.Action.Dir == "/web/"+place {
			var out []string
			for l := range strings.Lines(s.w.Paths(r.Action.Root)) {
				if p, ok := strings.CutPrefix(strings.TrimSpace(l), "web/node_modules/"); ok {
					out = append(out, p)
				}
			}
			return strings.Join(out, " ")
		}
	}
	return "not run"
}

func TestScriptsSeeWhatTheyNeed(t *testing.T) {
	s := newScripted(t, map[string]string{
		"node_modules/a": "b", "node_modules/b": "c", "node_modules/c": "", "node_modules/d": "e", "node_modules/e": "d",
		"node_modules/a/node_modules/f": "a", "node_modules/other": "",
	})
	got, err := s.run("a", "c", "d", "e", "f@1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	want := "node_modules/a/empty\nnode_modules/b/package.json\nnode_modules/c/empty\nnode_modules/d/empty\nnode_modules/e/empty\nnode_modules/other/package.json\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for place, want := range map[string]string{
		"node_modules/c":                "c/package.json",
		"node_modules/a":                "a/node_modules/f/empty a/package.json b/package.json c/empty",
		"node_modules/a/node_modules/f": "a/node_modules/f/package.json a/package.json b/package.json c/empty",
		"node_modules/d":                "d/package.json e/empty",
		"node_modules/e":                "d/package.json e/package.json", // they need each other
		"node_modules/b":                "not run",
		"node_modules/other":            "not run",
	} {
		if got := s.seen(place); got != want {
			t.Errorf("%s sees %s, want %s", place, got, want)
		}
	}
}

func TestScriptsRefused(t *testing.T) {
	s := newScripted(t, map[string]string{"node_modules/a": ""})
	s.list = append(s.list, Installed{Name: "linked", Version: "1.0.0", Path: "node_modules/linked"})
	s.known = []string{"a", "elsewhere"}
	for name, want := range map[string]string{"nowhere": "names `nowhere`", "a@2.0.0": "names `a@2.0.0`", "linked": "names `linked`", "elsewhere": ""} {
		_, err := s.run(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	_, err := s.w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		return RunScripts(ctx, ask, engine.Source("modules").Step, s.list, nil, "package-lock.json", Scripts{Allow: []string{"a"}, At: "/web"})
	})
	if err == nil || !strings.Contains(err.Error(), "something to run on") {
		t.Errorf("got %v", err)
	}
}

func TestScriptsSkippedAreNoted(t *testing.T) {
	s := newScripted(t, map[string]string{"node_modules/a": "", "node_modules/b": "", "node_modules/c": ""})
	s.list[2].Has = false
	if _, err := s.run("a"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.w.Notes, "; "); got != "install scripts are skipped of b@1.0.0; `allow_scripts` of node.modules names those that shall run" {
		t.Errorf("got %q", got)
	}
}

func TestPackageEnv(t *testing.T) {
	s := &scriptSet{Scripts: Scripts{At: "/web"}}
	env := s.env(&Installed{Name: "@s/a", Version: "1.0.0"}, installManifest{
		Config: []byte(`{"port": 1e21, "on": true, "off": false, "list": ["x", {"y": null}]}`), Bin: []byte(`"./cli.js"`),
	}, "/web/node_modules/@s/a")
	for k, want := range map[string]string{
		"npm_package_config_port": "1e21", "npm_package_config_on": "true", "npm_package_config_off": "", "npm_package_config_list_0": "x",
		"npm_package_config_list_1_y": "", "npm_package_bin_@s/a": "", "npm_package_bin_a": "cli.js", "npm_package_json": "/web/node_modules/@s/a/package.json",
	} {
		if env[k] != want {
			t.Errorf("%s=%q, want %q", k, env[k], want)
		}
	}
	if want := "/web/node_modules/@s/a/node_modules/.bin:/web/node_modules/@s/node_modules/.bin:/web/node_modules/node_modules/.bin:/web/node_modules/.bin:/node_modules/.bin:"; !strings.HasPrefix(env["PATH"], want) {
		t.Errorf("PATH=%s", env["PATH"])
	}
}
