//go:build oracle

package node

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/testkit/plantest"
)

// TestRecord asks the npm of this machine what it makes of each case and writes that down, with the lock where the case
// has none. It needs npm and git, no network:
//
//	go test -tags oracle -run TestRecord ./internal/node
func TestRecord(t *testing.T) {
	for _, c := range oracleCases(t) {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t, c)
			if _, ok := c.project["package-lock.json"]; !ok {
				if out, err := r.npm(append([]string{"install", "--package-lock-only"}, strings.Fields(c.text["flags"])...)...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				lock, err := os.ReadFile(filepath.Join(r.dir, "package-lock.json"))
				if err != nil {
					t.Fatal(err)
				}
				c.set("project/package-lock.json", r.back.Replace(string(lock)))
			}
			out, err := r.npm(append([]string{"ci"}, strings.Fields(c.text["flags"])...)...)
			if allow := strings.Fields(c.text["scripts"]); err == nil && len(allow) > 0 {
				out, err = r.run(append([]string{"rebuild", "--foreground-scripts"}, allow...)...)
			}
			c.set("want", r.result(out, err))
			if err := c.write(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRecordYarn does the same with yarn 1, which it needs in PATH:
//
//	go test -tags oracle -run TestRecordYarn ./internal/node
func TestRecordYarn(t *testing.T) {
	for _, c := range casesIn(t, "yarn") {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t, c)
			if _, ok := c.project["yarn.lock"]; !ok {
				if out, err := r.yarn("install"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				lock, err := os.ReadFile(filepath.Join(r.dir, "yarn.lock"))
				if err != nil {
					t.Fatal(err)
				}
				c.set("project/yarn.lock", r.back.Replace(string(lock)))
				err = filepath.WalkDir(r.dir, func(file string, d fs.DirEntry, err error) error {
					if err != nil || d.Name() != "node_modules" {
						return err
					}
					if err := os.RemoveAll(file); err != nil {
						return err
					}
					return fs.SkipDir
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			out, err := r.yarn(append([]string{"install", "--frozen-lockfile"}, strings.Fields(strings.ReplaceAll(c.text["flags"], "--omit=dev", "--production"))...)...)
			c.set("want", r.result(out, err))
			if err := c.write(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (r *recorder) yarn(args ...string) (string, error) {
	cmd := exec.Command("yarn", append(args, "--ignore-scripts", "--ignore-engines", "--non-interactive", "--no-progress", "--cache-folder", r.home+"/yarn")...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "npm_config_registry=" + r.address, "YARN_REGISTRY=" + r.address,
		"GIT_CONFIG_GLOBAL=/dev/null", "YARN_ENABLE_TELEMETRY=0"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// recorder is a project on disk, with its registry.
type recorder struct {
	t         *testing.T
	dir, home string
	address   string
	there     *strings.Replacer // placeholders and identities to addresses
	back      *strings.Replacer
}

func newRecorder(t *testing.T, c *oracleCase) *recorder {
	r := &recorder{t: t, dir: t.TempDir(), home: t.TempDir()}
	srv := httptest.NewServer(registryOf(t, c))
	t.Cleanup(srv.Close)
	r.address = srv.URL
	host := strings.TrimPrefix(srv.URL, "http:")
	repos := "file://" + r.home + "/git"
	r.there = strings.NewReplacer("{registry}", srv.URL, "{scoped}", srv.URL+"/scoped", "{scoped-token}", host+"/scoped/", "{git}", repos,
		caseRegistry, srv.URL, caseScoped, srv.URL+"/scoped", "git+"+caseGit, "git+"+repos)
	r.back = strings.NewReplacer(srv.URL+"/scoped", caseScoped, srv.URL, caseRegistry, repos, caseGit)
	for name, files := range c.repos {
		c.set("commit-"+name, r.repo(name, files)+"\n")
	}
	for p, text := range c.project {
		r.put(filepath.Join(r.dir, p), text)
	}
	for p, entries := range c.tarballs {
		r.put(filepath.Join(r.dir, p), "")
		if err := os.WriteFile(filepath.Join(r.dir, p), tgz(t, entries...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *recorder) put(file, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if target, ok := strings.CutPrefix(text, "->"); ok {
		if err := os.Symlink(target, file); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(file, []byte(r.there.Replace(text)), mode); err != nil {
		r.t.Fatal(err)
	}
}

// repo makes a repository whose commit is the same each time.
func (r *recorder) repo(name string, files map[string]string) string {
	dir := filepath.Join(r.home, "git", name)
	for p, text := range files {
		r.put(filepath.Join(dir, p), text)
	}
	var last string
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A", "-f"}, {"commit", "-q", "-m", "x"}, {"tag", "v1"}, {"rev-parse", "HEAD"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a.example", "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@a.example", "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z")
		out, err := cmd.CombinedOutput()
		if err != nil {
			r.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		last = strings.TrimSpace(string(out))
	}
	return last
}

func (r *recorder) npm(args ...string) (string, error) {
	return r.run(append(args, "--ignore-scripts")...)
}

func (r *recorder) run(args ...string) (string, error) {
	cmd := exec.Command("npm", append(args, "--no-audit", "--no-fund", "--allow-git=all", "--allow-remote=all", "--allow-file=all", "--allow-directory=all")...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "npm_config_cache=" + r.home + "/cache", "npm_config_registry=" + r.address,
		"npm_config_userconfig=" + r.home + "/npmrc", "npm_config_globalconfig=" + r.home + "/global", "GIT_CONFIG_GLOBAL=/dev/null"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var reasons = regexp.MustCompile(`(?m)^(?:npm error )?(Missing: .*|Invalid: .*|code E.*|error Your lockfile .*|error [^ ]+: The platform .*)$`)

// result is what is in the node_modules of the project, or npm's reasons.
func (r *recorder) result(out string, err error) string {
	if err != nil {
		var lines []string
		for _, m := range reasons.FindAllStringSubmatch(out, -1) {
			lines = append(lines, m[1])
		}
		if len(lines) == 0 {
			r.t.Fatalf("%v\n%s", err, out)
		}
		return strings.Join(slices.Compact(lines), "\n") + "\n"
	}
	var b strings.Builder
	err = filepath.WalkDir(r.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, _ := filepath.Rel(r.dir, file)
		if strings.HasSuffix(p, "node_modules/.package-lock.json") || strings.HasSuffix(p, "node_modules/.yarn-integrity") {
			return nil
		}
		if d.IsDir() {
			if in, err := os.ReadDir(file); err != nil || len(in) > 0 {
				return err
			}
			writeListed(&b, p, true, false, "", "")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(file)
			writeListed(&b, p, false, false, target, "")
			return err
		}
		text, err := os.ReadFile(file)
		writeListed(&b, p, false, info.Mode()&0o100 != 0, "", fmt.Sprintf("%x", sha256.Sum256(text)))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return sortLines(b.String())
}

// registryOf serves the case's packages: at /, and at /scoped to those who have the token.
func registryOf(t *testing.T, c *oracleCase) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		base, p := "http://"+q.Host, strings.TrimPrefix(q.URL.Path, "/")
		if rest, ok := strings.CutPrefix(p, "scoped/"); ok {
			if q.Header.Get("Authorization") != "Bearer secret" {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			base, p = base+"/scoped", rest
		} else if strings.HasPrefix(p, "@private") {
			http.NotFound(w, q)
			return
		}
		name, file, isFile := strings.Cut(p, "/-/")
		versions := map[string]any{}
		latest := ""
		for id, entries := range c.packages {
			at := strings.LastIndex(id, "@")
			if id[:at] != name {
				continue
			}
			b := tgz(t, entries...)
			f := name[strings.LastIndex(name, "/")+1:] + "-" + id[at+1:] + ".tgz"
			if isFile && f == file {
				_, _ = w.Write(b)
				return
			}
			m := caseManifest(t, entries)
			dist := map[string]any{"tarball": base + "/" + name + "/-/" + f}
			if m["_noIntegrity"] == nil {
				dist["integrity"] = plantest.Integrity(b).String()
			}
			if m["_noIntegrity"] == nil || m["_shasum"] != nil {
				dist["shasum"] = fmt.Sprintf("%x", sha1.Sum(b))
			}
			m["dist"], m["name"], m["version"] = dist, name, id[at+1:]
			versions[id[at+1:]] = m
			latest = max(latest, id[at+1:])
		}
		if latest == "" || isFile {
			http.NotFound(w, q)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "dist-tags": map[string]any{"latest": latest}, "versions": versions})
	})
}

// caseManifest is what a registry says of a package beyond its package.json.
func caseManifest(t testing.TB, pkg []entry) map[string]any {
	m := map[string]any{}
	for _, e := range pkg {
		if e.name == "package/package.json" {
			if err := json.Unmarshal([]byte(e.content), &m); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// set puts a file into the case's archive.
func (c *oracleCase) set(name, text string) {
	c.text[name] = text
	i := slices.IndexFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		i = len(c.archive.Files)
		c.archive.Files = append(c.archive.Files, txtar.File{Name: name})
	}
	c.archive.Files[i].Data = []byte(text)
}

func (c *oracleCase) write() error {
	b := txtar.Format(c.archive)
	file := filepath.Join("testdata", c.dir, c.name+".txtar")
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return os.WriteFile(file, b, 0o644)
}
