package python

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/pylock"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/pyindex"
)

var linux = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}

func TestSelectPylock(t *testing.T) {
	const lock = `lock-version = "1.0"
requires-python = ">=3.11"
environments = ["sys_platform == 'linux'"]
extras = ["fast-er", "wheel"]
dependency-groups = ["dev"]
default-groups = ["main"]
packages = [
  { name = "dir", directory = { path = "dir" } },
  { name = "extra", marker = "'fast-er' in extras", directory = { path = "extra" } },
  { name = "group", marker = "'dev' in dependency_groups or sys_platform == 'win32'", directory = { path = "group" } },
  { name = "main", marker = "'main' in dependency_groups", directory = { path = "main" } },
  { name = "new", marker = "python_version >= '3.13'", requires-python = ">=3.14", directory = { path = "new" } },
  { name = "twice", marker = "python_version >= '3.12'", directory = { path = "a" } },
  { name = "twice", marker = "python_version < '3.12' or 'dev' in dependency_groups", directory = { path = "b" } },
  { name = "w", version = "2", marker = "'wheel' in extras", wheels = [{ url = "https://files.example/w-1-py3-none-any.whl", hashes = { sha256 = "0000000000000000000000000000000000000000000000000000000000000000" } }] },
]
`
	for _, tc := range []struct {
		name, python, change string
		extras, groups       []string
		want                 string
	}{
		{"default", "3.11.7", "", nil, nil, "dir main twice"},
		{"extra", "3.11.7", "", []string{"Fast_er"}, nil, "dir extra main twice"},
		{"group", "3.11.7", "", nil, []string{"dev"}, "dir group main twice"},
		{"wheel of another version", "3.11.7", "", []string{"wheel"}, nil, "`w-1-py3-none-any.whl` is no wheel of `w` 2"},
		{"unknown extra", "3.11.7", "", []string{"slow"}, nil, "the lock has no extra `slow`"},
		{"unknown group", "3.11.7", "", nil, []string{"x"}, "the lock has no dependency group `x`"},
		{"old Python", "3.10.0", "", nil, nil, "the lock is for Python >=3.11, but the root has Python 3.10.0"},
		{"package for a newer Python", "3.13.1", "", nil, nil, "`new` is for Python >=3.14, but the root has Python 3.13.1"},
		{"two versions", "3.12.1", "", nil, []string{"dev"}, "two versions of `twice` are wanted at once"},
		{"other environment", "3.11.7", "sys_platform == 'linux'", nil, nil, "the lock is not for Python 3.11.7 on linux/amd64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := lock
			if tc.change != "" {
				text = strings.Replace(text, tc.change, "sys_platform == 'darwin'", 1)
			}
			l, err := pylock.Read("pylock.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			list, err := SelectPylock(l, Request{Python: tc.python, Platform: linux, Extras: tc.extras, Groups: tc.groups})
			var names []string
			for _, s := range list {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); err != nil && !strings.Contains(err.Error(), tc.want) || err == nil && got != tc.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

// TestRequirementsRefusals is about what can be wrong with a requirements.txt that the reader takes.
func TestRequirementsRefusals(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0", 64)
	for _, tc := range []struct{ name, text, want string }{
		{"no version", "a>=1 --hash=" + sum, "requirements.txt:1: target venv: `a` is not pinned with `==`"},
		{"no hash", "--require-hashes\na==1\n", "requirements.txt:2: target venv: `a==1` has no `--hash`"},
		{"malformed", "a b\n", "requirements.txt:1: target venv: requirement \"a b\""},
		{"branch", "--require-hashes\na @ git+https://git.example/a@main\n", "`git+https://git.example/a@main` must end with `@` and a commit"},
		{"archive without hash", "--require-hashes\na @ https://files.example/a-1.tar.gz\n", "has no `--hash`"},
		{"no project", "./empty\n", "`empty` is neither a wheel nor a directory whose pyproject.toml gives a name"},
		{"outside", "-e ../x\n", "comes from `../x`, which lies outside the source"},
		{"not on the index", "a==1 --hash=" + sum, "no index has a file of `a` 1 for Python 3.11 on linux/amd64 with one of the hashes"},
		{"includes beside hashes", "--require-hashes\n-r open.txt", "open.txt:1: target venv: `b==1` has no `--hash`"},
		{"include outside", "-r ../x.txt", "requirements.txt:1: target venv: `../x.txt` lies outside the source"},
		{"include missing", "-r x.txt", "requirements.txt:1: target venv: the source has no `x.txt`"},
		{"include with hashes", "b==1\n-r hashed.txt", "requirements.txt:1: target venv: `b==1` has no `--hash`"},
		{"constraint with a path", "-c path.txt", "path.txt:1: target venv: `./x` is no constraint"},
		{"nobody has it", "nope", "cannot resolve the requirements of `requirements.txt`: `nope` is asked for: no index has a project `nope`"},
		{"versions exclude one another", "both>1.0", "no version of both fits: `both>1.0` is asked for"},
		{"dynamic", "./dynamic", "what `dynamic` needs is not in its pyproject.toml"},
		{"no such extra", "./static[x]", "`static` has no extra `x`"},
		{"too old a path", "./static\nstatic>2", "`static>2` is needed, but the requirements have static==1"},
		{"a file of this machine", "a @ file:///tmp/a-1.0.tar.gz", "requirements.txt:1: target venv: `a-1.0.tar.gz` comes from `/tmp/a-1.0.tar.gz`, which lies outside the source"},
		{"no such file", "./a-1.0.tar.gz", "requirements.txt:1: target venv: the source has no `a-1.0.tar.gz`"},
		{"url of no package", "a @ https://files.example/a.txt", "`a.txt` is neither a wheel nor an sdist"},
		{"hash of another file", "both==1.0 --hash=" + sum, "no index has a file of `both` 1.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{
				"hashed.txt": "a==1 --hash=" + sum, "open.txt": "b==1", "path.txt": "./x", "dynamic/pyproject.toml": "[project]\nname = 'dynamic'\ndynamic = ['dependencies']",
				"static/pyproject.toml": "[project]\nname = 'static'\nversion = '1'",
			}
			packed := map[string][]byte{"both-1.0-py3-none-any.whl": pyindex.Pack("both-1.0-py3-none-any.whl", nil), "a.txt": []byte("a")}
			c := &oracleCase{name: "x", files: files, locks: map[string]string{reqsFile: tc.text}, packed: packed}
			_, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: reqsFile}).install()
			if err == nil || !strings.Contains(problemText(err), tc.want) || diag.ExitCode(err) == 0 {
				t.Errorf("got  %v\nwant %s", problemText(err), tc.want)
			}
		})
	}
}

func TestResolveFile(t *testing.T) {
	packed := map[string][]byte{}
	for _, f := range []string{"both-1.0-py3-none-any.whl", "both-1.0-cp311-cp311-win_amd64.whl", "both-1.0.tar.gz", "both-2.0-py3-none-any.whl"} {
		packed[f] = pyindex.Pack(f, nil)
	}
	c := &oracleCase{packed: packed}
	sum := func(f string) string { return fmt.Sprintf("hash %s", (&world{t: t, packed: packed}).sum(f)) }
	whl, sdist := sum("both-1.0-py3-none-any.whl"), sum("both-1.0.tar.gz")
	for _, tc := range []struct {
		name    string
		request []string
		want    string
	}{
		{"wheel first", []string{whl, sdist}, "both-1.0-py3-none-any.whl"},
		{"the sdist alone is locked", []string{sdist}, "both-1.0.tar.gz"},
		{"no binary", []string{"no-binary", whl, sdist}, "both-1.0.tar.gz"},
		{"other platform", []string{sum("both-1.0-cp311-cp311-win_amd64.whl")}, "no index has a file of `both` 1.0"},
		{"hash of another version", []string{sum("both-2.0-py3-none-any.whl")}, "the hashes that are locked for `both` 1.0 are those of both-2.0-py3-none-any.whl"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := pins.Question{Ecosystem: source.PyPI, Set: "file/both@1.0", Platform: linux, Request: append([]string{"python 3.11", "file both==1.0"}, tc.request...)}
			list, err := (&oracleWorld{oracleCase: c}).Artifacts(context.Background(), q)
			got := fmt.Sprint(err)
			if len(list) == 1 {
				got = list[0].File
			}
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
