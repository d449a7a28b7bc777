//go:build oracle

package rust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// TestRecord asks the machine's cargo to vendor every case and keeps what it leaves below testdata/oracle; then cargo
// must take what Vendor makes of the same lock, and compile it. Run it with
//
//	go test -tags oracle -run TestRecord ./internal/rust
func TestRecord(t *testing.T) {
	for name, c := range oracleCases {
		t.Run(name, func(t *testing.T) { record(t, name, c) })
	}
	out, err := exec.Command("cargo", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "testdata/oracle/cargo-version.txt", strings.Fields(string(out))[1]+"\n")
}

func record(t *testing.T, name string, c oracleCase) {
	dir := t.TempDir()
	keep := filepath.Join("testdata", "oracle", name)
	if err := os.RemoveAll(keep); err != nil {
		t.Fatal(err)
	}
	app := layOut(t, dir, c)
	for _, cr := range c.crates {
		file := cr.name + "-" + cr.version + ".crate"
		write(t, filepath.Join(keep, file), read(t, filepath.Join(dir, "registry", file)))
	}
	home := filepath.Join(dir, "home")
	config := cargoRun(t, app, home, "vendor", "--versioned-dirs", "--respect-source-config", "vendor")
	lock := read(t, filepath.Join(app, "Cargo.lock"))
	if !strings.Contains(lock, "version = 4") {
		t.Fatal("this cargo writes another version")
	}
	listing := list(t, filepath.Join(app, "vendor"))
	write(t, filepath.Join(keep, "vendor.txt"), listing)
	write(t, filepath.Join(keep, "Cargo.lock"), anonymous(lock))
	write(t, filepath.Join(keep, "config.txt"), anonymous(config))

	write(t, filepath.Join(dir, "home1/config.toml"), strings.ReplaceAll(config, "\"vendor\"", "\""+filepath.Join(app, "vendor")+"\""))
	if err := os.RemoveAll(filepath.Join(app, ".cargo")); err != nil {
		t.Fatal(err)
	}
	if err := check(app, filepath.Join(dir, "home1")); (err != nil) != c.fails {
		t.Errorf("from its own vendor directory, cargo says %v", err)
	}
	useOurs(t, app, filepath.Join(dir, "home2"), c, lock, filepath.Join(app, "ours"))
}

// layOut writes a case's registry, its repositories and the project, whose directory it gives.
func layOut(t *testing.T, dir string, c oracleCase) string {
	index := map[string]string{}
	for _, cr := range c.crates {
		b := cr.pack(t)
		sum := sha256.Sum256(b)
		deps := []map[string]any{}
		for _, d := range cr.deps {
			dep, req, _ := strings.Cut(d, " ")
			deps = append(deps, map[string]any{"name": dep, "req": "^" + req, "features": []string{}, "optional": false, "default_features": true, "target": nil, "kind": "normal"})
		}
		features := map[string][]string{}
		if strings.Contains(cr.entries[0].text, "[features]") {
			features = map[string][]string{"one": {}, "two": {}}
		}
		line, _ := json.Marshal(map[string]any{"name": cr.name, "vers": cr.version, "deps": deps, "cksum": hex.EncodeToString(sum[:]), "features": features, "yanked": false})
		index[indexPrefix(cr.name)+"/"+cr.name] += string(line) + "\n"
		file := cr.name + "-" + cr.version + ".crate"
		write(t, filepath.Join(dir, "registry", file), string(b))
	}
	if err := os.MkdirAll(filepath.Join(dir, "registry/index"), 0o755); err != nil {
		t.Fatal(err)
	}
	for p, text := range index {
		write(t, filepath.Join(dir, "registry/index", p), text)
	}
	for repo, files := range c.repos {
		at := filepath.Join(dir, "repos", repo)
		lay(t, at, files)
		for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A", "-f"}, {"commit", "-q", "-m", "x"}, {"tag", "v1"}} {
			cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b.example"}, args...)...)
			cmd.Dir, cmd.Env = at, append(os.Environ(), "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v\n%s", args, err, out)
			}
		}
	}
	app := filepath.Join(dir, "app")
	lay(t, app, c.project("file://"+filepath.Join(dir, "repos")+"/"))
	write(t, filepath.Join(app, ".cargo/config.toml"), "[source.crates-io]\nreplace-with = \"local\"\n[source.local]\nlocal-registry = \""+filepath.Join(dir, "registry")+"\"\n")
	return app
}

// TestRecordLocked asks the machine's cargo whether it takes the locks of lockCases.
func TestRecordLocked(t *testing.T) {
	var verdicts []string
	for _, name := range slices.Sorted(maps.Keys(lockCases)) {
		c, dir := lockCases[name], t.TempDir()
		app, home, where := layOut(t, dir, oracleCases[c.base]), filepath.Join(dir, "home"), "file://"+filepath.Join(dir, "repos")+"/"
		cargoRun(t, app, home, "generate-lockfile")
		files := oracleCases[c.base].project(where)
		files["Cargo.lock"] = read(t, filepath.Join(app, "Cargo.lock"))
		c.apply(t, files, where)
		lay(t, app, files)
		cmd := exec.Command("cargo", "metadata", "--locked", "--offline", "--format-version", "1")
		cmd.Dir, cmd.Env = app, append(os.Environ(), "CARGO_HOME="+home)
		verdict := "takes"
		if out, err := cmd.CombinedOutput(); err != nil {
			verdict = "refuses"
			t.Logf("%s: %s", name, out)
		}
		verdicts = append(verdicts, verdict+" "+name+"\n")
	}
	write(t, "testdata/oracle/locked.txt", strings.Join(verdicts, ""))
}

var hosts = regexp.MustCompile(`(https://[^/"]+/|file:///[^"]*/repos/)`)

// anonymous puts a host of nobody's in the place of those that cargo wrote.
func anonymous(s string) string { return hosts.ReplaceAllString(s, "https://forge.example/") }

// useOurs compiles the project with the vendor tree that Vendor makes.
func useOurs(t *testing.T, app, home string, c oracleCase, lock, at string) {
	w := worldOf(t, c, lock)
	tr, err := w.Build(vendorPlan(engine.Source("app"), at))
	if err != nil {
		t.Fatal(err)
	}
	err = tree.Walk(t.Context(), w.Store, tr, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		b, err := store.ReadBlob(t.Context(), w.Store, e.Digest, 1<<20)
		write(t, filepath.Join(at, p), string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, "config.toml"), read(t, filepath.Join(at, "config.toml")))
	if err := check(app, home); (err != nil) != c.fails {
		t.Errorf("from our vendor directory, cargo says %v", err)
	}
}

// check compiles the project, for its types only.
func check(app, home string) error {
	cmd := exec.Command("cargo", "check", "--locked", "--offline", "--quiet", "--target-dir", filepath.Join(home, "target"))
	cmd.Dir, cmd.Env = app, append(os.Environ(), "CARGO_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func cargoRun(t *testing.T, dir, home string, args ...string) string {
	t.Helper()
	cmd := exec.Command("cargo", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CARGO_HOME="+home)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cargo %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// list gives path, executable bit and SHA-256 of every file.
func list(t *testing.T, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if os.IsNotExist(err) && p == dir {
				return filepath.SkipAll
			}
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		st, err := e.Info()
		if err != nil || !st.Mode().IsRegular() {
			return fmt.Errorf("%s: %v %v", p, st.Mode(), err)
		}
		bit := "-"
		if st.Mode()&0o100 != 0 {
			bit = "x"
		}
		sum := sha256.Sum256([]byte(read(t, p)))
		fmt.Fprintf(&b, "%s %x %q\n", bit, sum, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(b.String(), "\n")
	slices.SortFunc(lines, func(a, c string) int { return strings.Compare(a[min(67, len(a)):], c[min(67, len(c)):]) })
	return strings.Join(lines, "")
}

func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(dir, p)
		if target, ok := strings.CutPrefix(files[p], "->"); ok {
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, at, files[p])
		if strings.HasPrefix(files[p], "#!") {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func write(t *testing.T, p, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
