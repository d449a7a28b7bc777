package pylock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

const zeros = "00000000000000000000000000000000000000000000000000000000000000"

func read(t *testing.T, text string) *Lock {
	t.Helper()
	l, err := Read("pylock.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRead(t *testing.T) {
	data, err := os.ReadFile("testdata/sources.toml")
	if err != nil {
		t.Fatal(err)
	}
	l := read(t, string(data))
	if got := fmt.Sprintf("%s %q %q %q %q", l.RequiresPython, l.Environments, l.Extras, l.Groups, l.DefaultGroups); got != `>=3.11 ["sys_platform == 'linux'"] ["x"] ["dev"] ["main"]` {
		t.Error(got)
	}
	var got []string
	for _, p := range l.Packages {
		line := fmt.Sprintf("%s %s: %s rev=%s commit=%.4s sub=%s marker=%s", p.Name, p.Version, p.Source, p.Source.Rev, p.Source.Commit, p.Source.Subdirectory, p.Marker)
		for _, f := range p.Wheels {
			line += fmt.Sprintf("\n  wheel %s %s %.12s size=%d local=%v", f.Name, f.URL, f.Integrity.String(), f.Size, f.Local())
		}
		if f := p.Sdist; f != nil {
			line += fmt.Sprintf("\n  sdist %s %s %s", f.Name, f.URL, f.UploadTime)
		}
		got = append(got, line)
	}
	want := `both 1.0: registry https://index.example/simple rev= commit= sub= marker=
  wheel Both-1.0-py3-none-any.whl https://files.example/Both-1.0-py3-none-any.whl sha256:00000 size=7 local=false
  wheel both-1.0-cp311-cp311-linux_x86_64.whl vendor/both-1.0-cp311-cp311-linux_x86_64.whl sha512-AAAAA size=0 local=true
  sdist both-1.0.tar.gz https://files.example/download?id=1 2026-01-02T03:04:05Z
copied : directory libs/copied/py rev= commit= sub= marker='x' in extras
linked 0.1: editable libs/linked rev= commit= sub= marker=
repo 3: git https://git.example/repo rev=v3 commit=0123 sub=py marker=
src : path vendor/src-1.tar.gz rev= commit= sub= marker=
  sdist src-1.tar.gz vendor/src-1.tar.gz 
whl : url https://files.example/whl-1-py3-none-any.whl rev= commit= sub= marker=
  wheel whl-1-py3-none-any.whl https://files.example/whl-1-py3-none-any.whl sha256:00000 size=0 local=false`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if k := l.Packages[2].Source.Kind; k != uv.Editable {
		t.Error(k)
	}
}

func TestRefusals(t *testing.T) {
	head := "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n"
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "pylock.toml:1:1: `lock-version`: `lock-version` is missing: this is no pylock.toml"},
		{"newer", "lock-version = \"2.1\"\n", "pylock.toml:1:16: `lock-version`: lock format version \"2.1\" is not known, only 1 is"},
		{"no source", head, "pylock.toml:2:3: `packages.a`: package `a` must come from one of"},
		{"two sources", head + "directory = { path = \"a\" }\nwheels = []\n", "must come from one of"},
		{"bad name", "lock-version = \"1.0\"\n[[packages]]\nname = \"../a\"\n", "pylock.toml:3:8: `packages.name`: \"../a\" is no name of a package"},
		{"no hashes", head + "archive = { url = \"https://files.example/a-1.tar.gz\" }\n", "`a-1.tar.gz` has no `hashes`"},
		{"weak hash", head + "archive = { url = \"https://files.example/a-1.tar.gz\", hashes = { md5 = \"00\" } }\n", "(it has md5), want sha256"},
		{"short hash", head + "archive = { url = \"https://files.example/a-1.tar.gz\", hashes = { sha256 = \"00\" } }\n", "pylock.toml:5:"},
		{"no url", head + "archive = { hashes = { sha256 = \"" + zeros + "00\" } }\n", "neither a `path` nor a `url`"},
		{"url as path", head + "archive = { path = \"https://files.example/a.whl\", hashes = {} }\n", "is a URL"},
		{"no wheel", head + "wheels = [{ url = \"https://files.example/a.zip\", hashes = { sha256 = \"" + zeros + "00\" } }]\n", "\"a.zip\" is not the name of a wheel"},
		{"other vcs", head + "vcs = { type = \"hg\", url = \"https://hg.example/a\", commit-id = \"00\" }\n", "version control \"hg\" is not known"},
		{"branch", head + "vcs = { type = \"git\", url = \"https://git.example/a\", commit-id = \"main\" }\n", "must be a commit of 40 hex digits, but is \"main\""},
		{"no repository", head + "vcs = { type = \"git\", path = \"a\", commit-id = \"main\" }\n", "has no `url`"},
		{"no version", "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nwheels = []\n", "package `a` has no `version`"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read("pylock.toml", []byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || diag.ExitCode(err) != 2 {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	data, err := os.ReadFile("testdata/sources.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("lock-version = \"1.0\"\npackages = [{ name = \"a\", archive = { path = \"../x\", hashes = { sha256 = \"\" } } }]"))
	lock, _ := uv.Read("uv.lock", twin.Read(f, "uv.lock"))
	f.Add(exported(lock, 1)[:3000])
	f.Fuzz(func(t *testing.T, data []byte) {
		var l *Lock
		var err error
		fuzzing.Bounded(t, len(data), func() { l, err = Read("pylock.toml", data) })
		if err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("no Problem: %v", err)
			}
			return
		}
		for _, p := range l.Packages {
			fuzzing.Name(t, "package", p.Name)
			for _, file := range p.Wheels {
				fuzzing.Name(t, "wheel", file.Name)
				if file.Integrity.IsZero() {
					t.Fatalf("file %+v", file)
				}
			}
		}
	})
}
