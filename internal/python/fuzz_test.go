package python

import (
	"errors"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/poetry"
	"hewn.example/hewn/internal/lock/pylock"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/pyindex"
	"hewn.example/hewn/internal/testkit/twin"
	"hewn.example/hewn/internal/tree"
)

// FuzzUnpack unpacks sdists of both kinds.
func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"a-1.tar.gz", "a-1.zip"} {
		f.Add(pyindex.Pack(name, map[string]string{"src/a.py": "a = 1\n", "run": "#!/bin/sh\n"}))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"a-1.tar.gz", "a-1.zip"} {
			st := memory.New()
			d, err := st.Put(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			b := tree.NewBuilder()
			if err := b.File(name, d, false); err != nil {
				t.Fatal(err)
			}
			in, err := b.Build(t.Context(), st)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := runUnpack(t.Context(), engine.NativeCall{Params: []byte("{}"), Inputs: []tree.Tree{in}, Store: st}); err == nil {
				fuzzing.Tree(t, st, out)
			}
		}
	})
}

// FuzzProject reads a pyproject.toml and compares it with a lock.
func FuzzProject(f *testing.F) {
	f.Add(twin.Read(f, "pyproject.toml"))
	f.Add([]byte("[project]\nname = 'a'\n[dependency-groups]\na = [{include-group = 'B'}, 'x>1']\nb = [{include-group = 'a'}]\n[tool.uv]\ndev-dependencies = ['y']\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzing.Bounded(t, len(data), func() {
			p, err := parseProject("pyproject.toml", data)
			if err == nil {
				err = checkManifest(&uv.Lock{}, &uv.Package{Name: p.name, Source: uv.Source{Kind: uv.Virtual, Location: "."}}, p, pep508.Environment{})
			}
			if err == nil {
				err = checkGroups(data, []string{"a"})
			}
			if err != nil && !errors.As(err, new(*diag.Problem)) {
				t.Errorf("no Problem: %v", err)
			}
		})
	})
}

// FuzzSelect chooses from locks of all kinds.
func FuzzSelect(f *testing.F) {
	twin.Add(f, "uv.lock", "\n[[package]]\n")
	f.Add([]byte("lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\nmarker = \"'x' in extras\"\nsdist = {url = 'https://f.example/a-1.zip', hashes = {sha256 = '" + zeros + "'}}\n"))
	f.Add([]byte("[[package]]\nname = 'a'\nversion = '1'\ngroups = ['main']\nmarkers = {main = \"os_name == 'posix'\"}\nfiles = [{file = 'a-1.zip', hash = 'sha256:" + zeros +
		"'}]\n[metadata]\nlock-version = '2.1'\npython-versions = '^3.11 || 3.9.*'\ncontent-hash = 'x'\n"))
	r := Request{Python: "3.14.0", Platform: linux}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzing.Bounded(t, len(data), func() {
			var list []Selected
			var err error
			if l, bad := uv.Read("uv.lock", data); bad == nil {
				if err = checkLock(l); err == nil {
					list, err = Select(l, r)
				}
			} else if l, bad := pylock.Read("pylock.toml", data); bad == nil {
				list, err = SelectPylock(l, r)
			} else if l, bad := poetry.Read("poetry.lock", data); bad == nil {
				list, err = SelectPoetry(l, r)
			}
			if err != nil && !errors.As(err, new(*diag.Problem)) {
				t.Errorf("no Problem: %v", err)
			}
			for _, s := range list {
				fuzzing.Name(t, "package", s.Name)
			}
		})
	})
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
