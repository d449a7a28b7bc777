package workspace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
)

const whole = `recipe = "authentik"
origins = "mirrors-only"

[source.authentik]
path = "."
[source.client-go]
git = "upstream:team/client-go"
rev = "v1"

[alias.upstream]
urls = ["https://forge.example/mirrors/{name}", "mirrors/{path}", "git@forge.example:{path}"]

[mirror.pypi]
urls = ["https://mirror.example/simple"]

[mirror.npm.scopes]
"@corp" = "https://npm.corp.example"

[debian]
suites = ["forky", "sid"]
gone = "repin"
max-index-age = "400d"
keyrings = ["keys/archive.gpg"]

[go]
private = ["git.corp.example/*"]
[registry]
plain-http = ["forge.lan:3000"]
mount-from = ["team/base"]

[limits]
actions = 4
fetches = 8
disk = 2

[vars]
edition = "community"
`

func TestParse(t *testing.T) {
	c, err := Parse("hewn.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Recipe:  "authentik",
		Origins: "mirrors-only",
		Source:  map[string]Source{"authentik": {Path: "."}, "client-go": {Git: "upstream:team/client-go", Rev: "v1"}},
		Alias:   map[string]Alias{"upstream": {URLs: []string{"https://forge.example/mirrors/{name}", "mirrors/{path}", "git@forge.example:{path}"}}},
		Mirror: map[string]Mirror{"pypi": {URLs: []string{"https://mirror.example/simple"}},
			"npm": {Scopes: map[string]string{"@corp": "https://npm.corp.example"}}},
		Debian:   Debian{Suites: []string{"forky", "sid"}, Gone: "repin", MaxIndexAge: "400d", Keyrings: []string{"keys/archive.gpg"}},
		Go:       Go{Private: []string{"git.corp.example/*"}},
		Registry: Registry{PlainHTTP: []string{"forge.lan:3000"}, MountFrom: []string{"team/base"}},
		Limits:   Limits{Actions: 4, Fetches: 8, Disk: 2},
		Vars:     map[string]string{"edition": "community"},
		Raw:      []byte(whole),
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestParseEmpty(t *testing.T) {
	c, err := Parse("hewn.toml", nil)
	if err != nil || c.Recipe != "" || c.Source != nil {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // the whole of Problem.Error
		code string
		hint string
	}{
		"unknown key":           {"recipe = \"a\"\nrecip = \"b\"\n", "hewn.toml:2:1: `recip`: unknown key", "unknown-key", "the file has the keys recipe, "},
		"unknown key below":     {"[source.a]\npath = \".\"\n  revision = \"x\"\n", "hewn.toml:3:3: `source.a.revision`: unknown key", "unknown-key", "`source.a` has the keys path, git, rev"},
		"unknown table":         {"\n[mirrors.pypi]\nurls = []\n", "hewn.toml:2:2: `mirrors.pypi`: unknown key", "unknown-key", "the file has the keys recipe, origins, source, alias, mirror, debian, go, registry, limits, vars"},
		"wrong type":            {"recipe = 3\n", "hewn.toml:1:10: `recipe`: malformed TOML: ", "malformed-toml", ""},
		"not closed":            {"recipe = \"a\n", "hewn.toml:1:", "malformed-toml", ""},
		"twice":                 {"recipe = \"a\"\nrecipe = \"b\"\n", "hewn.toml", "malformed-toml", ""},
		"origins":               {"\norigins = \"none\"\n", "hewn.toml:2:1: `origins`: `none` is not a value of this key", "bad-value", "mirrors-only"},
		"ecosystem":             {"[mirror.npm]\nurls = []\n[mirror.rubygems]\nurls = []\n", "hewn.toml:3:9: `mirror.rubygems`: no such ecosystem; there are pypi, npm, go, crates, debian, maven", "bad-value", ""},
		"scope":                 {"[mirror.npm.scopes]\ncorp = \"https://a.example\"\n", "hewn.toml:1:13: `mirror.npm.scopes`: `corp` is no scope of npm", "bad-value", ""},
		"scope of another":      {"[mirror.pypi.scopes]\n\"@corp\" = \"https://a.example\"\n", "hewn.toml:1:14: `mirror.pypi.scopes`: `@corp` is no scope of npm", "bad-value", ""},
		"ecosystem inline":      {"mirror = { npm = {}, gems = { urls = [] } }\n", "hewn.toml:1:22: `mirror.gems`: no such ecosystem; there are pypi, npm, go, crates, debian, maven", "bad-value", ""},
		"first of several":      {"[mirror]\nzz = {}\nbb = {}\nyy = {}\naa = {}\n", "hewn.toml:5:1: `mirror.aa`: no such ecosystem; there are pypi, npm, go, crates, debian, maven", "bad-value", ""},
		"gone":                  {"[debian]\n\ngone = \"maybe\"\n", "hewn.toml:3:1: `debian.gone`: `maybe` is neither \"error\" nor \"repin\"", "bad-value", ""},
		"age":                   {"debian.max-index-age = \"a year\"\n", "hewn.toml:1:8: `debian.max-index-age`: `a year` is no age; write days, for example \"400d\"", "bad-value", ""},
		"path and git":          {"[source.a]\npath = \".\"\ngit = \"x:y\"\n", "hewn.toml:1:9: `source.a`: a source has either a `path` or a `git` and `rev`, not both", "bad-value", ""},
		"negative limit":        {"[limits]\nactions = -1\n", "hewn.toml:2:1: `limits.actions`: -1 is no limit", "bad-value", "default"},
		"mirror without tables": {"mirror = \"https://x.example\"\n", "hewn.toml:1:10: `mirror`: malformed TOML: ", "malformed-toml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("hewn.toml", []byte(c.text))
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a problem", err)
			}
			if !strings.HasPrefix(p.Error(), c.want) || p.Code != c.code || p.Kind != diag.BadInput {
				t.Errorf("got %s %q\nwant %s %q", p.Code, p, c.code, c.want)
			}
			if strings.Contains(p.Error(), "\n") {
				t.Errorf("the message has more than one line: %q", p)
			}
			if !strings.Contains(strings.Join(p.Hints, " "), c.hint) {
				t.Errorf("hints %q, want %q", p.Hints, c.hint)
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "1d": 24 * time.Hour, "400d": 400 * 24 * time.Hour, "36h": 36 * time.Hour} {
		if got, err := (Debian{MaxIndexAge: s}).MaxAge(); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0d", "-1d", "d", "1.5d", "99999999d", "0s", "-1h", "400", "a year"} {
		if got, err := (Debian{MaxIndexAge: s}).MaxAge(); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

func write(t *testing.T, dir, text string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoadMakesPathsAbsolute(t *testing.T) {
	dir := write(t, t.TempDir(), whole)
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Dir != dir || c.Source["authentik"].Path != dir || c.Debian.Keyrings[0] != filepath.Join(dir, "keys/archive.gpg") {
		t.Errorf("got %q, %+v, %q", c.Dir, c.Source, c.Debian.Keyrings)
	}
	want := []string{"https://forge.example/mirrors/{name}", filepath.Join(dir, "mirrors/{path}"), "git@forge.example:{path}"}
	if d := cmp.Diff(want, c.Alias["upstream"].URLs); d != "" {
		t.Error(d)
	}
	if c.Recipe != "authentik" {
		t.Errorf("the name of a bundled recipe became %q", c.Recipe)
	}
}

func TestLoadRecipe(t *testing.T) {
	for text, want := range map[string]string{
		"recipe = \"authentik\"":   "authentik",
		"recipe = \".\"":           "DIR",
		"recipe = \"./mine\"":      "DIR/mine",
		"recipe = \"../r/mine\"":   "r/mine",
		"recipe = \"/srv/recipe\"": "/srv/recipe",
		"":                         "",
	} {
		dir := write(t, filepath.Join(t.TempDir(), "ws"), text)
		c, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(want, "r/") {
			want = filepath.Join(filepath.Dir(dir), want)
		}
		if want = strings.Replace(want, "DIR", dir, 1); c.Recipe != want {
			t.Errorf("%s: got %q, want %q", text, c.Recipe, want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	var p *diag.Problem
	if _, err := Load(dir); !errors.As(err, &p) || p.Code != "workspace-missing" || p.Kind != diag.BadInput || len(p.Hints) == 0 {
		t.Errorf("no file: got %v", err)
	}
	write(t, dir, strings.Repeat("# much\n", maxFile/7+1))
	if _, err := Load(dir); !errors.As(err, &p) || p.Code != "workspace-too-large" {
		t.Errorf("a large file: got %v", err)
	}
	write(t, dir, "bad")
	if _, err := Load(dir); !errors.As(err, &p) || p.Code != "malformed-toml" || p.Pos.File != filepath.Join(dir, FileName) || p.Pos.Line != 1 {
		t.Errorf("a malformed file: got %v", err)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	write(t, root, "")
	inner := write(t, filepath.Join(root, "a", "b"), "")
	deep := filepath.Join(inner, "c", "d")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{root: root, filepath.Join(root, "a"): root, inner: inner, deep: inner, filepath.Join(deep, "missing"): inner} {
		if got, err := Find(dir); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", dir, got, err, want)
		}
	}
	// A directory of that name makes no workspace.
	odd := filepath.Join(t.TempDir(), "odd")
	if err := os.MkdirAll(filepath.Join(odd, FileName), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(odd); !errors.Is(err, ErrNone) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("mirror = { gems = { urls = [] } }"))
	f.Add([]byte("[debian]\ngone = 3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Parse("hewn.toml", b)
		var p *diag.Problem
		if err == nil {
			return
		}
		if !errors.As(err, &p) {
			t.Fatalf("%v is no problem", err)
		}
		if lines := strings.Count(string(b), "\n") + 1; p.Pos.Line < 0 || p.Pos.Line > lines {
			t.Errorf("line %d of %d", p.Pos.Line, lines)
		}
	})
}
