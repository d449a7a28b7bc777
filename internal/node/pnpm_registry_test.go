package node

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var pnpmPacked struct {
	sync.Once
	files map[string][]byte
}

// pnpmTarballs are the tarballs of the registry by file name, packed once.
func pnpmTarballs(t testing.TB) map[string][]byte {
	pnpmPacked.Do(func() {
		pnpmPacked.files = map[string][]byte{}
		for _, p := range pnpmRegistry(t) {
			pnpmPacked.files[p.file()] = p.tarball(t)
		}
	})
	return pnpmPacked.files
}

// pnpmPackage is a line of testdata/pnpm/registry.jsonl: a package.json, and files that it does not imply.
type pnpmPackage struct {
	manifest map[string]any
	files    map[string]string
}

func (p pnpmPackage) name() string    { return p.manifest["name"].(string) }
func (p pnpmPackage) version() string { return p.manifest["version"].(string) }
func (p pnpmPackage) file() string {
	n := p.name()
	return n[strings.LastIndex(n, "/")+1:] + "-" + p.version() + ".tgz"
}

// tarball has package.json, index.js and a script for each command; it is the same on every day.
func (p pnpmPackage) tarball(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(p.manifest)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"package.json": string(b), "index.js": "module.exports = '" + p.name() + "@" + p.version() + "'\n",
	}
	maps.Copy(files, p.files)
	switch bin := p.manifest["bin"].(type) {
	case string:
		files[bin] = "#!/usr/bin/env node\n"
	case map[string]any:
		for _, f := range bin {
			files[strings.TrimPrefix(f.(string), "./")] = "#!/usr/bin/env node\n"
		}
	}
	var entries []entry
	for _, n := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, entry{name: "package/" + n, content: files[n]})
	}
	return tgz(t, entries...)
}

func pnpmRegistry(t testing.TB) []pnpmPackage {
	t.Helper()
	f, err := os.Open("testdata/pnpm/registry.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []pnpmPackage
	for s := bufio.NewScanner(f); s.Scan(); {
		p := pnpmPackage{files: map[string]string{}}
		if err := json.Unmarshal(s.Bytes(), &p.manifest); err != nil {
			t.Fatal(err)
		}
		if m, ok := p.manifest["files"].(map[string]any); ok {
			for n, text := range m {
				p.files[n] = text.(string)
			}
		}
		delete(p.manifest, "files")
		out = append(out, p)
	}
	return out
}
