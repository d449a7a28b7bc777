package node

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestPnpmScripts runs what both the project and the recipe allow.
func TestPnpmScripts(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/pnpm/cases/bundled.txtar")
	if err != nil {
		t.Fatal(err)
	}
	build := func(linker, settings string, allow ...string) (*plantest.World, string, error) {
		w := pnpmWorld(t, ar, linker, "11")
		w.Sources["web"]["pnpm-workspace.yaml"] = "nodeLinker: " + linker + "\n" + settings
		w.Sources["root"] = map[string]string{"bin/sh": "#!"}
		got, err := pnpmBuild(w, ModulesOptions{Scripts: Scripts{Allow: allow, At: "/web", Layers: []engine.Layer{{Step: engine.Source("root").Step, At: "/"}}}})
		return w, got, err
	}
	for linker, place := range map[string]string{"isolated": "node_modules/.pnpm/scripted@1.0.0/node_modules/scripted", "hoisted": "node_modules/scripted"} {
		w, got, err := build(linker, "allowBuilds: {scripted: true}\n", "scripted")
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Ran) != 1 || w.Ran[0].Action.Dir != "/web/"+place || !strings.Contains(got, "\n"+place+"/empty\n") {
			t.Errorf("%s: %d actions\n%s", linker, len(w.Ran), got)
			continue
		}
		root := w.Paths(w.Ran[0].Action.Root)
		if !strings.Contains(root, "web/"+place+"/post.js\n") || strings.Contains(root, "bundler/") {
			t.Errorf("%s: the script sees\n%s", linker, root)
		}
		want := map[string]string{"isolated": "web/node_modules/.pnpm/scripted@1.0.0/node_modules/leaf -> ../../leaf@1.0.0/node_modules/leaf\n", "hoisted": "/scripted/node_modules/leaf/index.js\n"}
		if !strings.Contains(root, want[linker]) {
			t.Errorf("%s: the script does not see %q:\n%s", linker, want[linker], root)
		}
	}
	w, _, err := build("isolated", "allowBuilds: {scripted: true, bundler: true}\n")
	if err != nil || len(w.Ran) > 0 || strings.Join(w.Notes, "") != "install scripts are skipped of scripted@1.0.0; `allow_scripts` of node.modules names those that shall run" {
		t.Errorf("not allowed by the recipe: %v, %q", err, w.Notes)
	}
	for settings, want := range map[string]string{
		"allowBuilds: {scripted: false}\n": "whose install scripts pnpm does not run", "": "whose install scripts pnpm does not run",
		"dangerouslyAllowAllBuilds: true\n": "", "onlyBuiltDependencies: [scripted@2.0.0 || 1.0.0]\n": "",
	} {
		if _, _, err := build("isolated", settings, "scripted"); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", settings, err)
		}
	}
}

const (
	oneCommit   = "0123456789abcdef0123456789abcdef01234567"
	otherCommit = "89abcdef0123456789abcdef0123456789abcdef"
)

const fromEverywhere = `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .:
    dependencies:
      in-git:
        specifier: git+https://forge.example/o/in-git.git
        version: git+https://forge.example/o/in-git.git#COMMIT1
      in-archive:
        specifier: o/r
        version: https://codeload.forge.example/o/r/tar.gz/COMMIT2#path:/packages/it
      loose:
        specifier: https://files.example/loose.tgz
        version: https://files.example/loose.tgz

packages:

  in-archive@https://codeload.forge.example/o/r/tar.gz/COMMIT2#path:/packages/it:
    resolution: {path: /packages/it, tarball: https://codeload.forge.example/o/r/tar.gz/COMMIT2, gitHosted: true}
    version: 1.0.0

  in-git@git+https://forge.example/o/in-git.git#COMMIT1:
    resolution: {commit: COMMIT1, repo: https://forge.example/o/in-git.git, type: git}
    version: 2.0.0
    hasBin: true

  loose@https://files.example/loose.tgz:
    resolution: {tarball: https://files.example/loose.tgz}
    version: 1.0.0

snapshots:

  in-archive@https://codeload.forge.example/o/r/tar.gz/COMMIT2#path:/packages/it: {}

  in-git@git+https://forge.example/o/in-git.git#COMMIT1: {}

  loose@https://files.example/loose.tgz: {}
`

// TestPnpmFromElsewhere has packages from git, from a forge's archive of a commit, and from an address without a hash.
func TestPnpmFromElsewhere(t *testing.T) {
	w := plantest.New(t, Natives())
	w.Sources["web"] = map[string]string{
		"package.json":   `{"packageManager": "pnpm@11.0.0", "dependencies": {"in-git": "git+https://forge.example/o/in-git.git", "in-archive": "o/r", "loose": "https://files.example/loose.tgz"}}`,
		"pnpm-lock.yaml": strings.NewReplacer("COMMIT1", oneCommit, "COMMIT2", otherCommit).Replace(fromEverywhere),
	}
	w.Git[oneCommit] = map[string]string{"package.json": `{"name": "in-git", "bin": "cli.js", "files": ["cli.js"]}`, "cli.js": "", "test.js": "", "README.md": ""}
	w.Git[otherCommit] = map[string]string{"package.json": `{"name": "in-archive"}`, "index.js": "", ".npmignore": "index.ts\n", "index.ts": ""}
	loose := tgz(t, entry{name: "package/package.json", content: `{"name": "loose"}`})
	w.Files["loose.tgz"] = loose
	if _, err := pnpmBuild(w, ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "npm/loose@1.0.0") {
		t.Errorf("without a pin: %v", err)
	}
	w.Pins["npm/loose@1.0.0"] = []source.Artifact{{
		Ecosystem: source.NPM, Name: "loose", Version: "1.0.0", File: "loose.tgz", Integrity: plantest.Integrity(loose),
	}}
	got, err := pnpmBuild(w, ModulesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const pnpm = "node_modules/.pnpm/"
	for _, want := range []string{
		pnpm + "in-git@git+https+++forge.example+o+in-git.git+" + oneCommit + "/node_modules/in-git/cli.js*\n", "in-git/README.md\n",
		pnpm + "in-archive@https+++codeload.forge.example+o+r+tar.gz+" + otherCommit + "+path++packages+it/node_modules/in-archive/index.js\n",
		pnpm + "loose@https+++files.example+loose.tgz/node_modules/loose/package.json\n",
		"node_modules/.bin/in-git*\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	for _, not := range []string{"test.js", "index.ts"} {
		if strings.Contains(got, not) {
			t.Errorf("%s is packed:\n%s", not, got)
		}
	}
}

func TestForge(t *testing.T) {
	for in, want := range map[string]string{
		"https://codeload.forge.example/o/r/tar.gz/abc":                                     "https://forge.example/o/r.git abc",
		"https://forge.example/o/r/get/abc.tar.gz":                                          "https://forge.example/o/r.git abc",
		"https://forge.example/api/v4/projects/g%2Fs%2Fr/repository/archive.tar.gz?ref=abc": "https://forge.example/g/s/r.git abc",
		"https://files.example/a.tgz":                                                       " ",
		"https://files.example/get/a.tar.gz":                                                " ",
		"file:x":                                                                            " ",
	} {
		if repo, commit := forge(in); repo+" "+commit != want {
			t.Errorf("%s: %s %s", in, repo, commit)
		}
	}
}

// TestPnpmOnly has a tool without the rest.
func TestPnpmOnly(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/pnpm/cases/simple.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, linker := range []string{"isolated", "hoisted"} {
		got, err := pnpmBuild(pnpmWorld(t, ar, linker, "11"), ModulesOptions{Only: []string{"cyc-a"}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, "/cyc-b/index.js\n") || strings.Contains(got, "top") || strings.Contains(got, "single-bin") {
			t.Errorf("%s:\n%s", linker, got)
		}
	}
}
