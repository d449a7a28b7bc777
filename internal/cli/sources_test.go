package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
)

func TestPublicURL(t *testing.T) {
	for repo, want := range map[string]string{
		"https://git.example/a/b.git":           "https://git.example/a/b.git",
		"ssh://git.example/a/b":                 "ssh://git.example/a/b",
		"https://someone:secret@git.example/b":  "",
		"https://token@git.example/b":           "",
		"https://git.example/b?token=secret":    "",
		"https://git.example/b#secret":          "",
		"upstream:a/b":                          "",
		"git@git.example:a/b":                   "",
		"/srv/git/b":                            "",
		"../b.bundle":                           "",
		"file:///srv/git/b":                     "",
		"file://server/git/b":                   "",
		"https://git.example:8443/a/b":          "https://git.example:8443/a/b",
		"https://git.example/%zz":               "",
		"ext::sh -c 'touch /tmp/no' git@x:a":    "",
		"https:///a/b":                          "",
		"http://[fe80::1%25en0]:80/a":           "http://[fe80::1%25en0]:80/a",
		"https://git.example/a b":               "https://git.example/a%20b",
		"https://git.example/a\nb":              "",
		"git+https://user:secret@git.example/b": "",
	} {
		if got := publicURL(repo); got != want {
			t.Errorf("%q: got %q, want %q", repo, got, want)
		}
	}
}

// A git source knows its commit and that commit's time, after one fetch for ever; a directory knows nothing, even inside a
// work tree.
func TestSourceInfo(t *testing.T) {
	const committed = 1767409445
	dir := t.TempDir()
	repo := filepath.Join(dir, "mirrors", "thing")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t.example", "-C", repo}, args...)...)
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), fmt.Sprintf("GIT_COMMITTER_DATE=%d +0900", committed)}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for name, text := range map[string]string{
		"mirrors/thing/file":  "content",
		"recipe/recipe.star":  "target(\"all\", lambda t: merge(t.source(\"web\"), t.source(\"near\"), t.source(\"work\")))",
		"recipe/sources.toml": "[web]\ngit = \"https://git.example/any/thing\"\nrev = \"v1\"\n[near]\n[work]\n",
		"hewn.toml": "recipe = \"./recipe\"\n[source.near]\ngit = \"near:thing\"\n[source.work]\npath = \"mirrors/thing\"\n" +
			"[alias.near]\nurls = [\"" + repo + "\"]\n[alias.\"git.example\"]\nurls = [\"" + dir + "/mirrors/{name}\"]\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "one")
	git("tag", "-a", "v1", "-m", "one")
	commit := git("rev-parse", "HEAD")
	want := map[string]engine.SourceInfo{
		"web":  {Rev: "v1", Revision: commit, Time: committed, URL: "https://git.example/any/thing"},
		"near": {Rev: "HEAD", Revision: commit, Time: committed},
		"work": {},
	}

	hewn := func(args ...string) {
		t.Helper()
		var stderr strings.Builder
		sys := System{Args: args, Environ: environ(dir), Dir: dir, Stdout: io.Discard, Stderr: &stderr, Now: time.Now, Terminal: func() (int, bool) { return 80, false }}
		if code := Main(sys); code != 0 {
			t.Fatalf("hewn %v: %d\n%s", args, code, stderr.String())
		}
	}
	hewn("update")
	hewn("fetch")
	if err := os.Rename(repo, repo+"-moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(repo, 0o755); err != nil { // the directory source has to be there, empty or not
		t.Fatal(err)
	}
	for name, want := range want {
		got, err := sourceInfo(t, dir, name)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	if _, err := sourceInfo(t, dir, "unheard-of"); err == nil {
		t.Error("a source that is not declared has an origin")
	}
}

func environ(dir string) []string {
	return []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "HEWN_STORE=" + filepath.Join(dir, "store"), "CI=true"}
}

// sourceInfo asks as a plan does, without a network.
func sourceInfo(t *testing.T, dir, name string) (engine.SourceInfo, error) {
	t.Helper()
	c := &command{sys: System{Environ: environ(dir), Dir: dir, Stdout: io.Discard, Stderr: io.Discard, Now: time.Now, Terminal: func() (int, bool) { return 80, false }},
		flags: settings{store: filepath.Join(dir, "store"), progress: "plain", offline: true, platform: platform.Host().String(), plat: platform.Host()}}
	p, err := c.refer(".")
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.openStore()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s, err := c.open(p, st, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	return s.sources.Info(t.Context(), name)
}
