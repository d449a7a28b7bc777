package golang

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/fetch/git"
	"hewn.example/hewn/internal/lock/gosum"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
)

// gitRepo is a repository in the making; each commit replaces all files.
type gitRepo struct {
	t   *testing.T
	dir string
}

func (r gitRepo) git(args ...string) string {
	r.t.Helper()
	c := exec.Command("git", args...)
	c.Dir = r.dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a.test", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@a.test", "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z")
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit gives the commit's name. Text that begins with "->" is a link, with "#!" an executable file.
func (r gitRepo) commit(tags string, files map[string]string) string {
	r.t.Helper()
	r.git("rm", "-r", "-q", "--ignore-unmatch", ".")
	for name, text := range files {
		p := filepath.Join(r.dir, name)
		write(r.t, p, text)
		if to, ok := strings.CutPrefix(text, "->"); ok {
			if err := errors.Join(os.Remove(p), os.Symlink(to, p)); err != nil {
				r.t.Fatal(err)
			}
		}
		if strings.HasPrefix(text, "#!") {
			if err := os.Chmod(p, 0o755); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.git("add", "-A", "-f")
	r.git("commit", "-q", "--allow-empty", "-m", "c")
	for _, tag := range strings.Fields(tags) {
		r.git("tag", "-a", "-m", tag, tag)
	}
	return r.git("rev-parse", "HEAD")
}

// TestDirect has the go command lock modules that only git repositories have, and makes each file of go.sum itself: its
// hash says whether the bytes are those of the go command.
func TestDirect(t *testing.T) {
	for _, tool := range []string{"go", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	top := t.TempDir()
	repo := func(name string) gitRepo {
		r := gitRepo{t, filepath.Join(top, name)}
		if err := os.MkdirAll(r.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r.git("init", "-q", "-b", "main")
		return r
	}
	lib := repo("team/lib")
	lib.commit("v1.0.0 sub/v0.1.0", map[string]string{
		"go.mod": "module git.example/team/lib.git\n\ngo 1.21\n", "lib.go": "package lib\n", "LICENSE": "free\n", "run.sh": "#!/bin/sh\n", "link": "->lib.go",
		"sub/go.mod": "module git.example/team/lib.git/sub\n\ngo 1.21\n", "sub/sub.go": "package sub\n", "vendor/x.example/x/x.go": "package x\n", "vendor/modules.txt": "# x.example v1.0.0\n",
		".gitattributes": "hidden.txt export-ignore\nfilled.txt export-subst\n*.bat text eol=crlf\n*.txt ident\n", "hidden.txt": "kept\n", "filled.txt": "$Format:%H$ $Id$\n", "win.bat": "echo\n",
		"Upper/File.TXT": "x\n", ".hidden/x": "x\n", "empty": "",
	})
	middle := lib.commit("", map[string]string{"go.mod": "module git.example/team/lib.git\n\ngo 1.21\n", "lib.go": "package lib // between\n"})
	lib.commit("v2.0.0", map[string]string{"go.mod": "module git.example/team/lib.git/v2\n\ngo 1.21\n", "lib.go": "package lib\n"})
	lib.commit("v3.1.0", map[string]string{"go.mod": "module git.example/team/lib.git\n\ngo 1.21\n", "lib.go": "package lib\n", "v3/go.mod": "module git.example/team/lib.git/v3\n\ngo 1.21\n", "v3/lib.go": "package lib\n", "LICENSE": "free\n"})
	old := repo("team/old")
	old.commit("v1.0.0 v4.2.0", map[string]string{"old.go": "package old\n", "deep/old.go": "package deep\n", "deep/nested/go.mod": "module other.example\n", "deep/nested/x.go": "package x\n"})
	tip := repo("team/tip")
	tipCommit := tip.commit("", map[string]string{"go.mod": "module git.example/team/tip.git\n", "tip.go": "package tip\n"})

	gitconfig := filepath.Join(top, "gitconfig")
	write(t, gitconfig, "[url \"file://"+top+"/\"]\n\tinsteadOf = https://git.example/\n[safe]\n\tdirectory = *\n")
	app, cache := filepath.Join(top, "app"), t.TempDir()
	write(t, filepath.Join(app, "go.mod"), "module app.example\n\ngo 1.24\n")
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("go", args...)
		c.Dir = app
		c.Env = append(os.Environ(), "GOPROXY=direct", "GOPRIVATE=git.example", "GOMODCACHE="+cache, "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "GOENV=off", "GOWORK=off", "GOVCS=*:git",
			"GIT_CONFIG_GLOBAL="+gitconfig, "GIT_ALLOW_PROTOCOL=file:https")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	for _, want := range []string{"lib.git@v1.0.0", "lib.git/sub@v0.1.0", "lib.git/v2@v2.0.0", "lib.git/v3@v3.1.0", "old.git@v4.2.0+incompatible", "tip.git@" + tipCommit[:12]} {
		run("get", "git.example/team/"+want)
	}
	first, err := os.ReadFile(filepath.Join(app, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	run("get", "git.example/team/lib.git@"+middle[:12], "git.example/team/old.git@v1.0.0")
	second, err := os.ReadFile(filepath.Join(app, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := gosum.Parse("go.sum", append(first, second...))
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) != 16 {
		t.Errorf("the go command locked %d hashes, want 16:\n%s%s", len(sums), first, second)
	}
	f := directFetcher(top)
	for _, s := range sums {
		a, _, err := artifact(s)
		if err == nil {
			_, err = f.Fetch(t.Context(), a)
		}
		if err != nil {
			t.Errorf("%s: %v", a.File, err)
		}
	}
	for name, want := range map[string]string{"git.example/team/none.git": "team/none", "git.example/none": "https://git.example/none"} {
		_, err := f.Fetch(t.Context(), source.Artifact{Ecosystem: source.Go, Name: name, Version: "v1.0.0", File: "v1.0.0.mod", Integrity: sums[0].Hash})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

type endpoints []origin.Endpoint

func (e endpoints) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) { return e, nil }

// directFetcher takes modules of git.example from the repositories below top, and no others.
func directFetcher(top string) *fetch.Fetcher {
	st := memory.New()
	caches := filepath.Join(top, "caches")
	dir := func(key string) (string, func(), error) {
		d := filepath.Join(caches, key)
		return d, func() {}, os.MkdirAll(d, 0o755)
	}
	g := git.New(git.Config{Store: st, Aliases: map[string][]string{"git.example": {"file://" + top + "/{path}"}}, Cache: dir, Env: []string{"HOME=" + top}})
	return fetch.New(fetch.Config{
		Store: st, Client: &fetch.Client{}, Git: g, Locators: map[source.Ecosystem]fetch.Locator{source.Go: NewLocator(g)},
		Endpoints: endpoints{{URL: origin.Direct, From: "GOPRIVATE", Only: "git.example"}},
		TempDir:   func() (string, func(), error) { return dir("downloads") },
	})
}

// pages is a Getter of pages of text.
type pages map[string]string

func (p pages) Get(_ context.Context, _ origin.Endpoint, url, _ string, _ int64) ([]byte, error) {
	if text, ok := p[url]; ok {
		return []byte(text), nil
	}
	return nil, fetch.ErrGone
}

func (pages) Open(context.Context, origin.Endpoint, string) (io.ReadCloser, error) {
	return nil, fetch.ErrGone
}

func TestPlaces(t *testing.T) {
	g := git.New(git.Config{Aliases: map[string][]string{"git.example": {"https://forge.test/{path}"}}})
	d := direct{repos: g, getter: pages{
		"https://vanity.test/x/sub?go-get=1":   `<html><head><meta charset="latin1"><meta name="go-import" content="other.test git https://x.test"><META NAME='go-import' name="go-import" content="vanity.test/x git https://code.test/x.git"></head>`,
		"https://vanity.test/proxied?go-get=1": `<meta name="go-import" content="vanity.test/proxied mod https://mods.test/">`,
		"https://vanity.test/svn?go-get=1":     `<body><meta name="go-import" content="vanity.test/svn git https://code.test/x.git">`,
	}}
	for _, c := range []struct{ mod, want, proxy, err string }{
		{mod: "code.test/a/b.git/v2", want: "code.test/a/b.git=https://code.test/a/b.git"},
		{mod: "git.example/a/b/c/v2", want: "git.example/a/b=https://git.example/a/b git.example/a/b/c=https://git.example/a/b/c git.example/a=https://git.example/a"},
		{mod: "vanity.test/x/sub", want: "vanity.test/x=https://code.test/x.git"},
		{mod: "vanity.test/proxied", proxy: "https://mods.test"},
		{mod: "vanity.test/svn", err: "names no git repository"},
		{mod: "vanity.test/none", err: "where the repository of vanity.test/none is: not there"},
		{mod: "identity.example/a", err: "its host is an identity"},
		{mod: "alone.test", err: "no path of a module"},
	} {
		list, proxy, err := d.places(t.Context(), c.mod)
		var got []string
		for _, p := range list {
			got = append(got, p.root+"="+p.repo)
		}
		if strings.Join(got, " ") != c.want || proxy != c.proxy || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, %q, %v", c.mod, got, proxy, err)
		}
	}
}

func FuzzGoImports(f *testing.F) {
	f.Add([]byte(`<html><head><meta name="go-import" content="a.test git https://b.test"></head>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, im := range goImports(b) {
			if im.root == "" || bytes.ContainsAny([]byte(im.root+im.url), " \n") {
				t.Errorf("got %+v", im)
			}
		}
	})
}
