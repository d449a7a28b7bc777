package git_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch/git"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// repository makes one with a tag, a branch, a link, an executable and attributes that a checkout would obey.
func repository(t *testing.T, init ...string) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("README", "$Format:%H$\r\n", 0o644)
	write(".gitattributes", "README export-subst text eol=lf\nsecret export-ignore\n", 0o644)
	write("secret", "kept", 0o644)
	write("sub/run", "#!/bin/sh\n", 0o755)
	if err := os.Symlink("sub/run", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, append([]string{"init", "-q", "-b", "main"}, init...)...)
	run(t, dir, "-c", "core.autocrlf=false", "add", "-A")
	run(t, dir, "commit", "-q", "-m", "one")
	run(t, dir, "tag", "-a", "v1", "-m", "v1")
	return dir, run(t, dir, "rev-parse", "HEAD")
}

// committed is when every commit and tag of the tests was made.
const committed = 1767409445

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t.example", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05+0100", fmt.Sprintf("GIT_COMMITTER_DATE=%d -0730", committed)}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func reader(t *testing.T, aliases map[string][]string) (*git.Git, *memory.Store) {
	t.Helper()
	s := memory.New()
	return git.New(config(t, s, aliases)), s
}

func config(t *testing.T, s *memory.Store, aliases map[string][]string) git.Config {
	t.Helper()
	cache := t.TempDir()
	return git.Config{Store: s, Aliases: aliases, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cache},
		Cache: func(key string) (string, func(), error) {
			d := filepath.Join(cache, key)
			return d, func() {}, os.MkdirAll(d, 0o755)
		}}
}

func TestTree(t *testing.T) {
	dir, commit := repository(t)
	tag := run(t, dir, "rev-parse", "v1") // a bundle does not say which commit an annotated tag points at
	bundle := filepath.Join(t.TempDir(), "thing.bundle")
	run(t, dir, "bundle", "create", "-q", bundle, "--all")
	g, s := reader(t, map[string][]string{
		"upstream":    {"/does/not/exist/{name}", filepath.Dir(dir) + "/{name}"},
		"git.example": {filepath.Dir(bundle) + "/{name}.bundle"},
	})
	for _, repo := range []string{dir, "upstream:some/" + filepath.Base(dir), "https://git.example/any/thing.git"} {
		for _, rev := range []string{"v1", "main", commit} {
			got, err := g.Commit(t.Context(), repo, rev)
			if err != nil || (got != commit && got != tag) {
				t.Errorf("%s of %s: got %s, %v; want %s", rev, repo, got, err, commit)
			}
		}
		tr, err := g.Tree(t.Context(), source.GitRef{Repo: repo, Commit: commit})
		if err != nil {
			t.Fatal(err)
		}
		text, err := tree.Text(t.Context(), s, tr)
		if err != nil {
			t.Fatal(err)
		}
		if repo == dir {
			checkUnfiltered(t, text)
		}
		sub, err := g.Tree(t.Context(), source.GitRef{Repo: repo, Commit: commit, Subdir: "sub"})
		if err != nil {
			t.Fatal(err)
		}
		if e, err := tree.Lookup(t.Context(), s, sub, "run"); err != nil || !e.Executable {
			t.Errorf("sub/run below subdir: %+v, %v", e, err)
		}
	}
}

// checkUnfiltered checks that what a checkout or an archive would have changed is as it was committed.
func checkUnfiltered(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"README", "secret", "sub/run", "link", ".gitattributes"} {
		if !strings.Contains(text, want) {
			t.Errorf("the tree has no %s:\n%s", want, text)
		}
	}
	// git has turned CR LF into LF when it was committed; export-subst would have written the commit in.
	if !strings.Contains(text, "README 12 ") {
		t.Errorf("README is not as it was committed:\n%s", text)
	}
}

func TestFailures(t *testing.T) {
	dir, _ := repository(t)
	g, _ := reader(t, nil)
	none := strings.Repeat("0", 39) + "1"
	for name, c := range map[string]struct {
		f    func() error
		code string
	}{
		"no alias":    {func() error { _, err := g.Commit(t.Context(), "upstream:a/b", "v1"); return err }, "alias-missing"},
		"identity":    {func() error { _, err := g.Commit(t.Context(), "https://git.example/a/b", "v1"); return err }, "alias-missing"},
		"no such rev": {func() error { _, err := g.Commit(t.Context(), dir, "v9"); return err }, "rev-missing"},
		"no commit":   {func() error { _, err := g.Tree(t.Context(), source.GitRef{Repo: dir, Commit: none}); return err }, "fetch-failed"},
		"bad commit":  {func() error { _, err := g.Tree(t.Context(), source.GitRef{Repo: dir, Commit: "main"}); return err }, "bad-commit"},
	} {
		err := c.f()
		var p *diag.Problem
		if !errors.As(err, &p) || p.Code != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
