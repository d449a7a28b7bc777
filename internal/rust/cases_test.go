package rust

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

// oracleCase is a project that the real cargo vendors (oracle_test.go, with the build tag `oracle`) and that is compared
// with what it left (rust_test.go). Files are written as plantest has them: "->x" is a link, "#!" makes executable.
type oracleCase struct {
	crates []crate                      // in a registry
	repos  map[string]map[string]string // git repositories, by name; REPO:name in needs is the address of one
	needs  string                       // the project's [dependencies], and what follows
	files  map[string]string            // further files of the project
	fails  bool                         // cargo cannot build it from its own vendor directory either
}

type crate struct {
	name, version string
	deps          []string // "name version"
	entries       []entry
}

// entry is an entry of a .crate file; its name is below the crate's directory. Mode 0 means 0644.
type entry struct {
	name, text string
	mode       int64
	dir        bool
}

func lib(name, version string, more ...entry) crate {
	return crate{name: name, version: version, entries: append([]entry{
		{name: "Cargo.toml", text: "[package]\nname = \"" + name + "\"\nversion = \"" + version + "\"\nedition = \"2021\"\n"},
		{name: "src/lib.rs", text: "pub fn f() {}\n"}}, more...)}
}

func (c crate) with(deps ...string) crate {
	c.deps = deps
	c.entries[0].text += "[dependencies]\n"
	for _, d := range deps {
		name, version, _ := strings.Cut(d, " ")
		c.entries[0].text += name + " = \"" + version + "\"\n"
	}
	return c
}

// pack writes the .crate file.
func (c crate) pack(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range c.entries {
		h := &tar.Header{Name: c.name + "-" + c.version + "/" + e.name, Mode: e.mode, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if e.dir {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func member(name, more string) string {
	return "[package]\nname = \"" + name + "\"\nversion = \"0.1.0\"\nedition = \"2021\"\n" + more
}

// family is a repository with several packages, of which some inherit from the workspace.
var family = map[string]string{
	"Cargo.toml": "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"2\"\n[workspace.package]\nversion = \"1.2.3\"\nedition = \"2021\"\nreadme = \"README.md\"\nauthors = [\"A \\\"B\\\" <a@b.example>\"]\n" +
		"[workspace.dependencies]\nleaf = { version = \"1\", default-features = false, features = [\"one\"] }\nlow = { path = \"crates/low\" }\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\nunused = { level = \"warn\", priority = -1 }\n",
	"README.md":                       "read me\n",
	"Cargo.lock":                      "# none\n",
	"crates/high/Cargo.toml":          "[package]\nname = \"high\"\nversion.workspace = true\nedition.workspace = true\nreadme.workspace = true\nauthors.workspace = true\n[lints]\nworkspace = true\n[dependencies]\nleaf = { workspace = true, features = [\"two\"], default-features = true }\nlow.workspace = true\n[target.'cfg(unix)'.dev-dependencies]\nlow = { workspace = true }\n[features]\ndefault = []\n",
	"crates/high/src/lib.rs":          "pub fn f() { low::f(); leaf::f() }\n",
	"crates/high/.gitignore":          "/target\n",
	"crates/high/nested/Cargo.toml":   member("nested", ""),
	"crates/high/nested/src/lib.rs":   "",
	"crates/high/data/.gitignore":     "*.tmp\n",
	"crates/high/run.sh":              "#!/bin/sh\n",
	"crates/low/Cargo.toml":           member("low", ""),
	"crates/low/src/lib.rs":           "pub fn f() {}\n",
	"crates/low/LICENSE":              "->../../README.md",
	"crates/low/shared":               "->../../docs",
	"crates/unused/Cargo.toml":        member("unused", ""),
	"crates/unused/src/lib.rs":        "",
	"docs/a.md":                       "a\n",
	"docs/deep/b.md":                  "b\n",
	"tests/broken/Cargo.toml":         "[package\n",
	".github/fixture/low/Cargo.toml":  member("low", ""),
	".github/fixture/low/src/main.rs": "",
}

var oracleCases = map[string]oracleCase{
	"plain":      {crates: []crate{lib("leaf", "1.0.0")}, needs: "leaf = \"1\"\n"},
	"graph":      {crates: []crate{lib("leaf", "1.0.0"), lib("mid", "0.2.0").with("leaf 1.0.0"), lib("top", "3.0.0").with("mid 0.2.0", "leaf 1.0.0")}, needs: "top = \"3\"\n"},
	"versions":   {crates: []crate{lib("leaf", "1.0.0"), lib("leaf", "0.9.0"), lib("mid", "0.2.0").with("leaf 0.9.0")}, needs: "leaf = \"1\"\nmid = \"0.2\"\n"},
	"prerelease": {crates: []crate{lib("leaf", "1.0.0-rc.1"), lib("meta", "2.0.0+upstream.5")}, needs: "leaf = \"=1.0.0-rc.1\"\nmeta = \"2\"\n"},
	"git-files": {crates: []crate{lib("leaf", "1.0.0", entry{name: ".gitignore", text: "x"}, entry{name: ".gitattributes", text: "x"},
		entry{name: "sub/.gitignore", text: "x"}, entry{name: "sub/.gitattributes", text: "x"}, entry{name: "sub/.git/x", text: "x"}, entry{name: ".github/ci.yml", text: "x"},
		entry{name: ".cargo_vcs_info.json", text: "{}"}, entry{name: ".gitmodules", text: "x"})}, needs: "leaf = \"1\"\n"},
	"cargo-files": {crates: []crate{lib("leaf", "1.0.0", entry{name: "Cargo.toml.orig", text: "o"}, entry{name: "Cargo.lock", text: "version = 4\n"},
		entry{name: ".cargo-ok", text: "ok"}, entry{name: "sub/.cargo-ok", text: "ok"}, entry{name: "a.orig", text: "o"}, entry{name: "a.rej", text: "o"})}, needs: "leaf = \"1\"\n"},
	"modes": {crates: []crate{lib("leaf", "1.0.0", entry{name: "a.sh", mode: 0o755}, entry{name: "b", mode: 0o711}, entry{name: "c", mode: 0o600},
		entry{name: "d", mode: 0o444}, entry{name: "e", mode: 0o4755}, entry{name: "f", mode: 0o654})}, needs: "leaf = \"1\"\n"},
	"names": {crates: []crate{lib("leaf", "1.0.0", entry{name: "a b/ü.txt", text: "x"}, entry{name: "quo\"te<&>.txt", text: "x"},
		entry{name: strings.Repeat("long/", 40) + "x", text: "x"}, entry{name: "\u2028", text: "x"})}, needs: "leaf = \"1\"\n"},
	"directories": {crates: []crate{lib("leaf", "1.0.0", entry{name: "empty/", dir: true}, entry{name: "src/", dir: true})}, needs: "leaf = \"1\"\n"},
	"twice":       {crates: []crate{lib("leaf", "1.0.0", entry{name: "a", text: "first"}, entry{name: "a", text: "second", mode: 0o755})}, needs: "leaf = \"1\"\n"},
	"unused-target": {crates: []crate{lib("leaf", "1.0.0"), lib("win", "1.0.0")},
		needs: "leaf = { version = \"1\", optional = true }\n[target.'cfg(windows)'.dependencies]\nwin = \"1\"\n"},
	"workspace": {crates: []crate{lib("leaf", "1.0.0")}, needs: "inner = { path = \"inner\" }\n[workspace]\n",
		files: map[string]string{"inner/Cargo.toml": member("inner", "[dependencies]\nleaf = \"1\"\n"), "inner/src/lib.rs": ""}},
	"no-crates": {needs: ""},
	"git": {repos: map[string]map[string]string{"one": {"Cargo.toml": member("one", ""), "src/lib.rs": "", ".gitignore": "x", ".hidden": "x", "b.sh": "#!/bin/sh\n",
		"examples/e.rs": "fn main() {}\n", "Cargo.lock": "version = 4\n"}}, needs: "one = { git = \"REPO:one\" }\n"},
	"git-several": {crates: []crate{{name: "leaf", version: "1.0.0", entries: []entry{
		{name: "Cargo.toml", text: "[package]\nname = \"leaf\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[features]\none = []\ntwo = []\n"}, {name: "src/lib.rs", text: "pub fn f() {}\n"}}}},
		repos: map[string]map[string]string{"family": family},
		needs: "high = { git = \"REPO:family\", branch = \"main\" }\nlow = { git = \"REPO:family\", branch = \"main\" }\n"},
	"git-include": {repos: map[string]map[string]string{"one": {"Cargo.toml": member("one", "include = [\"src/**\", \"/README.md\", \"data\", \"!data/no\"]\n"), "src/lib.rs": "",
		"README.md": "x", "sub/README.md": "x", "data/yes": "x", "data/no": "x", "other": "x", "Cargo.lock": "version = 4\n"}}, needs: "one = { git = \"REPO:one\", tag = \"v1\" }\n"},
	"git-exclude": {repos: map[string]map[string]string{"one": {"Cargo.toml": member("one", "exclude = [\"*.md\", \"/data\", \"!KEEP.md\", \"big/\"]\n"), "src/lib.rs": "",
		"README.md": "x", "sub/x.md": "x", "KEEP.md": "x", "data/a": "x", "sub/data/a": "x", "big/a": "x"}}, needs: "one = { git = \"REPO:one\" }\n"},
	"patch": {crates: []crate{lib("leaf", "1.0.0"), lib("mid", "0.2.0").with("leaf 1.0.0")},
		repos: map[string]map[string]string{"leaf": {"Cargo.toml": "[package]\nname = \"leaf\"\nversion = \"1.0.1\"\n", "src/lib.rs": ""}},
		needs: "mid = \"0.2\"\n[patch.crates-io]\nleaf = { git = \"REPO:leaf\" }\n"},
	"patch-unused": {crates: []crate{lib("mid", "0.2.0")},
		repos: map[string]map[string]string{"leaf": {"Cargo.toml": "[package]\nname = \"leaf\"\nversion = \"1.0.1\"\n", "src/lib.rs": ""}},
		needs: "mid = \"0.2\"\n[patch.crates-io]\nleaf = { git = \"REPO:leaf\" }\n", fails: true},
}
