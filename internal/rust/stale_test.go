package rust

import (
	"context"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// lockCase is a change of a project after it was locked. Whether the real cargo still takes its lock is recorded in
// testdata/oracle/locked.txt (oracle_test.go).
type lockCase struct {
	base string      // a case of oracleCases
	edit []string    // triples: file, old text, new text; an empty old text puts a new file there
	want string      // what our error says; empty: none
	more bool        // cargo takes it: docs/LOCKS.md says why hewn does not
	lock [][2]string // the same for Cargo.lock: pattern and replacement
}

const memberOf = "inner/Cargo.toml"

var lockCases = map[string]lockCase{
	"unchanged":               {base: "workspace"},
	"unchanged graph":         {base: "graph"},
	"unchanged versions":      {base: "versions"},
	"unchanged pre-releases":  {base: "prerelease"},
	"unchanged git":           {base: "git-several"},
	"unchanged tag":           {base: "git-include"},
	"unchanged patch":         {base: "patch"},
	"unchanged target":        {base: "unused-target"},
	"another requirement":     {base: "workspace", edit: []string{memberOf, `"1"`, `">=1.0, <3"`}},
	"also for development":    {base: "workspace", edit: []string{memberOf, "[dependencies]", "[dev-dependencies]\nleaf = \"1\"\n[dependencies]"}},
	"a description":           {base: "workspace", edit: []string{memberOf, "edition", "description = \"x\"\nedition"}},
	"a feature":               {base: "workspace", edit: []string{memberOf, "[dependencies]", "[features]\nx = []\n[dependencies]"}},
	"inherited":               {base: "workspace", edit: []string{memberOf, `leaf = "1"`, "leaf.workspace = true", "Cargo.toml", "[workspace]\n", "[workspace]\n[workspace.dependencies]\nleaf = \"1.0\"\n"}},
	"renamed in the manifest": {base: "workspace", edit: []string{memberOf, `leaf = "1"`, `other = { package = "leaf", version = "1" }`}},
	"without its head":        {base: "workspace", lock: [][2]string{{`^(#.*\n)+`, ""}}},

	"dependency added":           {base: "workspace", edit: []string{"Cargo.toml", "[dependencies]\n", "[dependencies]\nleaf = \"1\"\n"}, want: "app/Cargo.toml:6:8: `dependencies.leaf`: target it: Cargo.lock does not fit the manifests: `app` needs `leaf` 1, which the lock does not have for it"},
	"dependency for tests added": {base: "workspace", edit: []string{"Cargo.toml", "[dependencies]\n", "[target.'cfg(unix)'.dev-dependencies]\nleaf = \"1\"\n[dependencies]\n"}, want: "app/Cargo.toml:6:8: `target.cfg(unix).dev-dependencies.leaf`"},
	"dependency removed":         {base: "workspace", edit: []string{memberOf, `leaf = "1"`, ""}, want: "the lock has `leaf 1.0.0` for `inner`, which does not need it"},
	"requirement changed":        {base: "workspace", edit: []string{memberOf, `leaf = "1"`, `leaf = "2"`}, want: "app/inner/Cargo.toml:6:8: `dependencies.leaf`: target it: Cargo.lock does not fit the manifests: `inner` needs `leaf` 2, but the lock has `leaf 1.0.0` for it"},
	"pinned elsewhere":           {base: "versions", edit: []string{"Cargo.toml", `leaf = "1"`, `leaf = "0.8"`}, want: "`app` needs `leaf` 0.8, but the lock has `leaf 1.0.0` for it"},
	"version of a member":        {base: "workspace", edit: []string{memberOf, "0.1.0", "0.2.0"}, want: "app/inner/Cargo.toml:3:11: `package.version`: target it: Cargo.lock does not fit the manifests: `inner` has version 0.2.0, and 0.1.0 in the lock"},
	"member renamed":             {base: "workspace", edit: []string{memberOf, `"inner"`, `"core"`, "Cargo.toml", "inner = {", "core = {"}, want: "`app` needs `core` from `inner`, which the lock does not have for it"},
	"member added":               {base: "workspace", edit: []string{"Cargo.toml", "[workspace]\n", "[workspace]\nmembers = [\"more/*\"]\n", "more/one/Cargo.toml", "", member("one", ""), "more/one/src/lib.rs", "", "//\n"}, want: "app/more/one/Cargo.toml:2:8: `package.name`: target it: Cargo.lock does not fit the manifests: the lock has no package `one`"},
	"from git instead":           {base: "git-several", edit: []string{"Cargo.toml", "low = { git = \"REPO:family\", branch = \"main\" }", "low = \"0.1\""}, want: "`app` needs `low` 0.1, but the lock has `low 0.1.0` from git+"},
	"another branch":             {base: "git-several", edit: []string{"Cargo.toml", "low = { git = \"REPO:family\", branch = \"main\" }", "low = { git = \"REPO:family\", branch = \"next\" }"}, want: "`app` needs `low` from "},
	"nothing needs it":           {base: "workspace", lock: [][2]string{{`$`, "\n[[package]]\nname = \"orphan\"\nversion = \"1.0.0\"\n"}}},
	"nothing needs this crate":   {base: "versions", edit: []string{"Cargo.toml", "mid = \"0.2\"\n", ""}, lock: [][2]string{{` "mid",\n`, ""}}, want: "app/Cargo.lock:12:3: `package.leaf`: target it: Cargo.lock does not fit the manifests: the lock has `leaf 0.9.0`, which nothing needs"},
	"edge dropped":               {base: "workspace", lock: [][2]string{{` "leaf",\n`, ""}}, want: "`inner` needs `leaf` 1, which the lock does not have for it"},
	"edge added":                 {base: "workspace", lock: [][2]string{{` "inner",\n`, " \"inner\",\n \"leaf\",\n"}}, want: "the lock has `leaf 1.0.0` for `app`, which does not need it"},
	"edge to nothing":            {base: "workspace", lock: [][2]string{{` "leaf",`, ` "ghost",`}}, want: "app/Cargo.lock:15:1: `package.inner.dependencies`: target it: `ghost` is none of the lock's packages"},
	"a package twice":            {base: "plain", lock: [][2]string{{`(?s)(\[\[package\]\]\nname = "leaf".*)`, "$1\n$1"}}, want: "package `leaf` stands twice"},
	"no version of a package":    {base: "plain", lock: [][2]string{{`(name = "leaf"\n)version.*\n`, "$1"}}, want: "`version` is missing"},
	"a version that is none":     {base: "plain", lock: [][2]string{{`version = "1.0.0"`, `version = "one"`}}, want: "\"one\" is not a version"},
	"newer format":               {base: "plain", lock: [][2]string{{`version = 4`, `version = 5`}}, want: "lock format version 5 is not known, only 3 to 4 are"},
	"not TOML":                   {base: "plain", lock: [][2]string{{`version = 4`, `version = `}}, want: "is not TOML"},
	"a kind of source":           {base: "plain", lock: [][2]string{{`"registry\+`, `"hg+`}}, want: "is of a kind that is not known"},
	"a checksum in capitals":     {base: "plain", lock: [][2]string{{`checksum = "[0-9a-f]{64}"`, `checksum = "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789"`}}, want: "is not a SHA-256"},
	"a conflict of a merge":      {base: "plain", lock: [][2]string{{`^`, "<<<<<<< HEAD\n"}}, want: "app/Cargo.lock:1:1"},

	"no name":                       {base: "plain", edit: []string{"Cargo.toml", "name = \"app\"\n", ""}, want: "app/Cargo.toml:1:2: `package.name`: target it: the package has no name"},
	"an empty manifest":             {base: "plain", edit: []string{"Cargo.toml", "[package]\n", "[profile.release]\n"}, want: "has neither a [package] nor a [workspace]"},
	"a dependency that is a number": {base: "plain", edit: []string{"Cargo.toml", `leaf = "1"`, "leaf = 1"}, want: "`dependencies.leaf`: target it: the dependency `leaf` of `app` is neither a version nor a table"},
	"a requirement that is none":    {base: "plain", edit: []string{"Cargo.toml", `leaf = "1"`, `leaf = "one"`}, want: "`app` needs `leaf` in the version \"one\", which is no version requirement"},
	"a path that is a number":       {base: "workspace", edit: []string{"Cargo.toml", `path = "inner"`, "path = 1"}, want: "the dependency `inner` of `app` has a `path` that is no string"},
	"inherited from nowhere":        {base: "workspace", edit: []string{memberOf, `leaf = "1"`, "leaf.workspace = true"}, want: "app/inner/Cargo.toml:6:1: `dependencies.leaf`: target it: the dependency `leaf` of `inner` is the workspace's, which has no `workspace.dependencies.leaf`"},
	"a version from nowhere":        {base: "workspace", edit: []string{memberOf, `version = "0.1.0"`, "version.workspace = true"}, want: "`version` of `inner` is the workspace's, which has no `workspace.package.version`"},
	"an edition from nowhere":       {base: "workspace", edit: []string{memberOf, `edition = "2021"`, "edition.workspace = true"}, want: "`edition` of `inner` is the workspace's"},
	"a version of two numbers":      {base: "plain", edit: []string{"Cargo.toml", `version = "0.1.0"`, `version = "0.1"`}, want: "the version of `app` is \"0.1\", which is none"},
	"a path to nothing":             {base: "workspace", edit: []string{"Cargo.toml", `path = "inner"`, `path = "outer"`}, want: "`app` needs `inner` from `outer`, where there is no Cargo.toml"},
	"a path out of the source":      {base: "workspace", edit: []string{"Cargo.toml", `path = "inner"`, `path = "../inner"`}, want: "`app` needs `inner` from `../inner`, which lies outside of the source"},
	"both a branch and a tag":       {base: "git-several", edit: []string{"Cargo.toml", `branch = "main"`, `branch = "main", tag = "v1"`}, want: "has both `branch` and `tag`"},

	"no commit": {base: "git", lock: [][2]string{{`#[0-9a-f]{40}`, ""}}, want: "names no commit", more: true},
}

// apply edits a project that was locked. where is what REPO: stands for.
func (c lockCase) apply(t testing.TB, files map[string]string, where string) {
	t.Helper()
	for i := 0; i < len(c.edit); i += 3 {
		file, from, to := c.edit[i], strings.ReplaceAll(c.edit[i+1], "REPO:", where), strings.ReplaceAll(c.edit[i+2], "REPO:", where)
		if from == "" {
			files[file] = to
			continue
		}
		if !strings.Contains(files[file], from) {
			t.Fatalf("%s has no %q:\n%s", file, from, files[file])
		}
		files[file] = strings.Replace(files[file], from, to, 1)
	}
	for _, r := range c.lock {
		before := files["Cargo.lock"]
		if files["Cargo.lock"] = regexp.MustCompile(r[0]).ReplaceAllString(before, r[1]); before == files["Cargo.lock"] {
			t.Fatalf("nothing in the lock is %s", r[0])
		}
	}
}

// project is the files of a case, without its lock.
func (c oracleCase) project(where string) map[string]string {
	needs := c.needs
	for repo := range c.repos {
		needs = strings.ReplaceAll(needs, "REPO:"+repo, where+repo)
	}
	files := map[string]string{"Cargo.toml": member("app", "[dependencies]\n"+needs), "src/main.rs": "fn main() {}\n"}
	maps.Copy(files, c.files)
	return files
}

// TestLockAsCargo gives a verdict on each lock, which must be the one that the real cargo gave.
func TestLockAsCargo(t *testing.T) {
	recorded := map[string]string{}
	for line := range strings.Lines(read(t, "testdata/oracle/locked.txt")) {
		verdict, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		recorded[name] = verdict
	}
	for name, c := range lockCases {
		t.Run(name, func(t *testing.T) {
			err := lockVerdict(t, c)
			got, text := "takes", ""
			if err != nil {
				got, text = "refuses", err.Error()
			}
			if (got != recorded[name]) != c.more {
				t.Errorf("hewn %s it, cargo %s it: %s", got, recorded[name], text)
			}
			if (c.want == "") != (err == nil) || !strings.Contains(text, c.want) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

func lockVerdict(t *testing.T, c lockCase) error {
	base := oracleCases[c.base]
	w := worldOf(t, base, read(t, "testdata/oracle/"+c.base+"/Cargo.lock"))
	for _, cr := range base.crates {
		file := cr.name + "-" + cr.version + ".crate"
		b, err := os.ReadFile("testdata/oracle/" + c.base + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		w.Files[file] = b
	}
	files := base.project("https://forge.example/")
	files["Cargo.lock"] = w.Sources["app"]["Cargo.lock"]
	c.apply(t, files, "https://forge.example/")
	w.Sources["app"] = files
	return verdictOf(w)
}

// verdictOf vendors what the lock of the project has, as `rust.build` does before it builds.
func verdictOf(w *plantest.World) error {
	_, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		p, err := readWorkspace(ctx, ask, engine.Source("app"), "", "")
		if err != nil {
			return engine.Step{}, err
		}
		if err := p.checkToolchain(ctx, "1.97.1"); err != nil {
			return engine.Step{}, err
		}
		lock, err := p.goodLock(ctx)
		if err != nil {
			return engine.Step{}, err
		}
		crates, err := vendor(lock, DefaultAt)
		return crates.Step, err
	})
	return err
}

// TestCrateNotThere shows where a crate that cannot be had, or has other bytes than the lock says, stands.
func TestCrateNotThere(t *testing.T) {
	w := worldOf(t, oracleCases["plain"], read(t, "testdata/oracle/plain/Cargo.lock"))
	w.Sources["app"]["Cargo.toml"] = oracleCases["plain"].project("")["Cargo.toml"]
	clear(w.Files)
	err := verdictOf(w)
	if err == nil || !strings.HasPrefix(err.Error(), "app/Cargo.lock:12:3: `package.leaf`: ") {
		t.Error(err)
	}
}
