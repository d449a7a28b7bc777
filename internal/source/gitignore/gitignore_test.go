package gitignore

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record what git says again")

// cases are .gitignore files and paths; testdata/*.golden has what `git check-ignore` says of them. A path with a slash
// at the end is a directory.
var cases = map[string]struct {
	files map[string]string // directory -> content
	paths []string
}{
	"names": {map[string]string{"": "# comment\n\n*.pyc\n/build\nnode_modules/\n\\#odd\n\\!bang\ntrail   \nkeep\\ \nfoo/bar\n"},
		[]string{"a.pyc", "d/e/a.pyc", "build", "build/", "sub/build", "node_modules", "node_modules/", "x/node_modules/", "#odd", "!bang", "trail", "keep ", "foo/bar", "x/foo/bar", "comment", "a.pyco"}},
	"negation": {map[string]string{"": "*.log\n!important.log\n/dist/*\n!/dist/keep\nall/\n!all/x\n"},
		[]string{"a.log", "important.log", "d/important.log", "dist/x", "dist/keep", "dist/sub/", "all/", "dist/"}},
	"stars": {map[string]string{"": "**/deep\na/**/z\nlogs/**\nx**y\nm/**n/o\n*/two\n/**/end.txt\nq/**/\n"},
		[]string{"deep", "b/deep", "b/c/deep", "a/z", "a/b/z", "a/b/c/z", "logs/", "logs/x", "logs/x/y", "xy", "xaby", "m/an/o", "m/a/n/o", "k/two", "k/l/two", "two", "end.txt", "g/end.txt", "q/w/", "q/w", "za/z"}},
	"brackets": {map[string]string{"": "[a-c].o\n[!x]1\n[^y]2\n[]]3\n[[:digit:]]d\nfile[\n[a\\]]4\n[z-\n?q\n[a-]5\n\\\\back\nw[/]v\n"},
		[]string{"a.o", "c.o", "d.o", "x1", "b1", "y2", "x2", "]3", "7d", "xd", "file[", "]4", "a4", "[z-", "zq", "éq", "-5", "b5", "\\back", "w/v", "wv"}},
	"nested": {map[string]string{"": "*.tmp\nsecret\n", "sub": "!keep.tmp\n/only\nrel/x\n", "sub/deep": "*\n!*.go\n"},
		[]string{"a.tmp", "sub/a.tmp", "sub/keep.tmp", "keep.tmp", "sub/only", "only", "sub/x/only", "sub/rel/x", "rel/x", "sub/deep/a.txt", "sub/deep/a.go", "sub/secret", "subx/only"}},
	"ends": {map[string]string{"": "\xef\xbb\xbfbom\r\ncr\r\nlast"},
		[]string{"bom", "cr", "last"}},
	"slashes": {map[string]string{"": "/\n//\n!\nx//y\ne/\n/f/\ng/h/\n"},
		[]string{"x/y", "e/", "e", "s/e/", "f/", "s/f/", "g/h/", "g/h", "s/g/h/"}},
}

func TestAsGit(t *testing.T) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, askGit(t, c.files, c.paths), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, p := range c.paths {
				clean, isDir := strings.CutSuffix(p, "/")
				got.WriteString(verdict(ignored(c.files, clean, isDir)) + " " + p + "\n")
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

func verdict(ignored bool) string {
	if ignored {
		return "ignored"
	}
	return "tracked"
}

// ignored walks down to path as a caller does.
func ignored(files map[string]string, path string, isDir bool) bool {
	var m *Matcher
	names := strings.Split(path, "/")
	for i := range names {
		dir := strings.Join(names[:i], "/")
		m = m.With(dir, []byte(files[dir]))
		if m.Ignored(strings.Join(names[:i+1], "/"), i < len(names)-1 || isDir) {
			return true
		}
	}
	return false
}

// askGit gives the verdicts of the machine's git, each path in a repository of its own.
func askGit(t *testing.T, files map[string]string, paths []string) []byte {
	var out bytes.Buffer
	for _, p := range paths {
		dir := t.TempDir()
		run := func(args ...string) error {
			cmd := exec.Command("git", args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
			return cmd.Run()
		}
		if err := run("init", "-q"); err != nil {
			t.Fatal(err)
		}
		for d, content := range files {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, d, ".gitignore"), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		full := filepath.Join(dir, filepath.FromSlash(p))
		if strings.HasSuffix(p, "/") {
			_ = os.MkdirAll(full, 0o755)
		} else {
			_ = os.MkdirAll(filepath.Dir(full), 0o755)
			_ = os.WriteFile(full, nil, 0o644)
		}
		out.WriteString(verdict(run("check-ignore", "-q", "--", strings.TrimSuffix(p, "/")) == nil) + " " + p + "\n")
	}
	return out.Bytes()
}

func FuzzMatcher(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.files[""]), c.paths[0])
	}
	f.Fuzz(func(t *testing.T, content []byte, path string) {
		var m *Matcher
		m.With("", content).Ignored(path, false)
		m.With("a/b", content).Ignored("a/b/"+path, true)
	})
}

func BenchmarkIgnored(b *testing.B) {
	var m *Matcher
	m = m.With("", []byte(strings.Repeat("*.pyc\nnode_modules/\n/dist\nlocal.env.yml\n.vscode/\n**/x/y\na?b[c]\n", 10)))
	for b.Loop() {
		m.Ignored("authentik/core/api/users.py", false)
	}
}
