package git_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch/git"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// notes is the simplest memory.
type notes map[string][]byte

func (n notes) LoadRecord(key string) ([]byte, bool) { b, ok := n[key]; return b, ok }

func (n notes) SaveRecord(key string, b []byte) error { n[key] = b; return nil }

// A pin is a commit, or the tag that names it; what is told of it is the same, wherever it comes from.
func TestDescribe(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			dir, commit := repository(t, "--object-format="+format)
			tag := run(t, dir, "rev-parse", "v1")
			bundle := filepath.Join(t.TempDir(), "thing.bundle")
			run(t, dir, "bundle", "create", "-q", bundle, "--all")
			for name, repo := range map[string]string{"repository": dir, "bundle": bundle} {
				for what, pin := range map[string]string{"commit": commit, "tag": tag} {
					g, s := reader(t, nil)
					got, err := g.Describe(t.Context(), source.GitRef{Repo: repo, Commit: pin})
					if want := (git.Description{Commit: commit, Time: committed}); err != nil || got != want {
						t.Errorf("%s of a %s: got %+v, %v; want %+v", what, name, got, err, want)
					}
					tr, err := g.Tree(t.Context(), source.GitRef{Repo: repo, Commit: pin})
					if err != nil {
						t.Errorf("%s of a %s: %v", what, name, err)
					} else if e, err := tree.Lookup(t.Context(), s, tr, "sub/run"); err != nil || !e.Executable {
						t.Errorf("%s of a %s: sub/run: %+v, %v", what, name, e, err)
					}
				}
			}
			for _, rev := range []string{"v1", "main"} {
				g, _ := reader(t, nil)
				if got, err := g.Commit(t.Context(), dir, rev); err != nil || got != commit {
					t.Errorf("%s is %s, %v; want %s", rev, got, err, commit)
				}
			}
		})
	}
}

// After one fetch neither a network nor git itself is needed, even if the repository is gone.
func TestRemembered(t *testing.T) {
	dir, commit := repository(t)
	s, memo := memory.New(), notes{}
	cfg := config(t, s, nil)
	cfg.Memory = memo
	ref := source.GitRef{Repo: dir, Commit: commit}
	sub := source.GitRef{Repo: dir, Commit: commit, Subdir: "sub"}
	first := git.New(cfg)
	want, err := first.Tree(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	wantSub, err := first.Tree(t.Context(), sub)
	if err != nil || wantSub == want {
		t.Fatalf("subdirectory: %v, %v", wantSub, err)
	}

	later := cfg
	later.Offline, later.Env = true, []string{"PATH=/nowhere"}
	later.Cache = func(string) (string, func(), error) {
		return "", nil, errors.New("the repository is looked at")
	}
	g := git.New(later)
	if got, err := g.Tree(t.Context(), ref); err != nil || got != want {
		t.Errorf("the tree: got %v, %v; want %v", got, err, want)
	}
	if got, err := g.Tree(t.Context(), sub); err != nil || got != wantSub {
		t.Errorf("the subdirectory: got %v, %v; want %v", got, err, wantSub)
	}
	if got, err := g.Describe(t.Context(), ref); err != nil || got != (git.Description{Commit: commit, Time: committed}) {
		t.Errorf("the description: got %+v, %v", got, err)
	}

	// What is remembered of content that the store no longer has, or cannot be read, counts for nothing.
	empty := cfg
	empty.Store = memory.New()
	if got, err := git.New(empty).Tree(t.Context(), ref); err != nil || got != want {
		t.Errorf("with an empty store: got %v, %v", got, err)
	} else if _, err := tree.Lookup(t.Context(), empty.Store, got, "README"); err != nil {
		t.Errorf("with an empty store: %v", err)
	}
	for k := range memo {
		memo[k] = []byte("nonsense")
	}
	if got, err := git.New(cfg).Tree(t.Context(), ref); err != nil || got != want {
		t.Errorf("with a spoilt memory: got %v, %v", got, err)
	}
	if got, err := git.New(cfg).Describe(t.Context(), ref); err != nil || got.Time != committed {
		t.Errorf("with a spoilt memory: got %+v, %v", got, err)
	}
}

func TestDescribeFailures(t *testing.T) {
	dir, commit := repository(t)
	cfg, offline := config(t, memory.New(), nil), config(t, memory.New(), nil)
	offline.Offline = true
	blob := run(t, dir, "rev-parse", "HEAD:README")
	for name, c := range map[string]struct {
		g      *git.Git
		commit string
		code   string
	}{
		"never fetched, offline": {git.New(offline), commit, "fetch-failed"},
		"no such commit":         {git.New(cfg), strings.Repeat("0", 39) + "1", "fetch-failed"},
		"no commit":              {git.New(cfg), blob, "fetch-failed"},
		"no hash":                {git.New(cfg), "v1", "bad-commit"},
	} {
		_, err := c.g.Describe(t.Context(), source.GitRef{Repo: dir, Commit: c.commit})
		var p *diag.Problem
		if !errors.As(err, &p) || p.Code != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		t.Error("the repository was touched")
	}
}
