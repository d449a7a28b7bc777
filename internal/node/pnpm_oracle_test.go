//go:build oracle

package node

import (
	"bytes"
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

// TestRecordPnpm asks the real pnpm what it lays out for every case below testdata/pnpm/cases and writes that into the
// case. PNPM10, PNPM11 and PNPM12 name the commands:
//
//	PNPM10='node …/pnpm.cjs' PNPM11=… PNPM12=… go test -tags oracle -run TestRecordPnpm ./internal/node
func TestRecordPnpm(t *testing.T) {
	registry := servePnpm(t)
	cases, _ := filepath.Glob("testdata/pnpm/cases/*.txtar")
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var in []txtar.File
			for _, f := range ar.Files {
				if !strings.HasPrefix(f.Name, "want/") && f.Name != "pnpm-lock.yaml" {
					in = append(in, f)
				}
			}
			dir := pnpmProject(t, in, "")
			runPnpm(t, "10", dir, registry, "install", "--lockfile-only", "--ignore-scripts")
			lock, err := os.ReadFile(filepath.Join(dir, "pnpm-lock.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, txtar.File{Name: "pnpm-lock.yaml", Data: lock})
			ar.Files = in
			for _, linker := range []string{"isolated", "hoisted"} {
				var texts, majors []string
				for _, major := range []string{"10", "11", "12"} {
					if major == "10" && linker == "hoisted" && bytes.Contains(ar.Comment, []byte("since pnpm 11")) {
						continue
					}
					dir := pnpmProject(t, in, linker)
					runPnpm(t, major, dir, registry, "install", "--frozen-lockfile", "--ignore-scripts")
					text := pnpmListing(t, dir)
					if i := len(texts) - 1; i >= 0 && texts[i] == text {
						majors[i] += "-" + major
						continue
					}
					texts, majors = append(texts, text), append(majors, major)
				}
				for i := range texts {
					ar.Files = append(ar.Files, txtar.File{Name: "want/" + linker + "-" + majors[i], Data: []byte(texts[i])})
				}
			}
			if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRecordPnpmFrozen asks the real pnpm which changes of a project its lock does not allow.
func TestRecordPnpmFrozen(t *testing.T) {
	registry := servePnpm(t)
	ar, cases := frozenCases(t)
	ar.Files = slices.DeleteFunc(ar.Files, func(f txtar.File) bool { return f.Name == "pnpm-lock.yaml" })
	dir := pnpmProject(t, ar.Files, "")
	runPnpm(t, "10", dir, registry, "install", "--lockfile-only", "--ignore-scripts")
	lock, err := os.ReadFile(filepath.Join(dir, "pnpm-lock.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ar.Files = append(ar.Files, txtar.File{Name: "pnpm-lock.yaml", Data: lock})
	if err := os.WriteFile("testdata/pnpm/frozen.txtar", txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	code := regexp.MustCompile(`ERR_PNPM_[A-Z_]+`)
	for _, c := range cases {
		c.Want = map[string]string{}
		for _, major := range []string{"10", "11", "12"} {
			text, err := tryPnpm(t, major, pnpmProject(t, c.changed(t, ar), ""), registry, "install", "--lockfile-only", "--frozen-lockfile", "--ignore-scripts")
			if c.Want[major] = code.FindString(text); err != nil && c.Want[major] == "" || err == nil && c.Want[major] != "" {
				t.Fatalf("%s: %v\n%s", c.Name, err, text)
			}
		}
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("testdata/pnpm/frozen.jsonl", out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pnpmProject(t *testing.T, files []txtar.File, linker string) string {
	t.Helper()
	dir := t.TempDir()
	if linker != "" {
		files = append([]txtar.File{{Name: "pnpm-workspace.yaml"}}, files...)
	}
	for _, f := range files {
		p := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Name == "pnpm-workspace.yaml" && linker != "" {
			f.Data = append([]byte("nodeLinker: "+linker+"\n"), f.Data...)
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runPnpm(t *testing.T, major, dir, registry string, args ...string) {
	t.Helper()
	if out, err := tryPnpm(t, major, dir, registry, args...); err != nil {
		t.Fatalf("pnpm %s %v: %v\n%s", major, args, err, out)
	}
}

func tryPnpm(t *testing.T, major, dir, registry string, args ...string) (string, error) {
	t.Helper()
	cmd := strings.Fields(os.Getenv("PNPM" + major))
	if len(cmd) == 0 {
		t.Skip("PNPM" + major + " is not set")
	}
	home := filepath.Join(os.TempDir(), "hewn-pnpm-oracle-"+major)
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(cmd[0], append(append(cmd[1:], args...), "--registry="+registry)...)
	c.Dir = dir
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "CI=1", "npm_config_registry=" + registry, "pnpm_config_registry=" + registry,
		"npm_config_store_dir=" + home + "/store", "pnpm_config_store_dir=" + home + "/store", "npm_config_manage_package_manager_versions=false",
	}
	out, err := c.CombinedOutput()
	return string(out), err
}

// listing is what lies in the folders node_modules, in the form of plantest.World.Paths.
func pnpmListing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if !strings.Contains("/"+rel, "/node_modules/") {
			return nil
		}
		switch filepath.Base(p) {
		case ".modules.yaml", ".pnpm-workspace-state-v1.json":
			return nil
		case "lock.yaml":
			if strings.HasSuffix(p, "/.pnpm/lock.yaml") {
				return nil
			}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s -> %s\n", rel, to)
		case d.IsDir():
			if all, _ := os.ReadDir(p); len(all) == 0 {
				fmt.Fprintf(&b, "%s/\n", rel)
			}
		case info.Mode()&0o100 != 0:
			fmt.Fprintf(&b, "%s*\n", rel)
		default:
			fmt.Fprintf(&b, "%s\n", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func servePnpm(t *testing.T) string {
	pkgs := pnpmRegistry(t)
	var url string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, file, isFile := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/-/")
		versions, latest, times := map[string]any{}, "", map[string]string{}
		for _, p := range pkgs {
			if p.name() != name {
				continue
			}
			body := p.tarball(t)
			if isFile && file == p.file() {
				_, _ = w.Write(body)
				return
			}
			m := map[string]any{"dist": map[string]any{
				"integrity": plantest.Integrity(body).String(), "tarball": url + "/" + name + "/-/" + p.file(),
			}}
			for k, v := range p.manifest {
				m[k] = v
			}
			if m["scripts"] != nil {
				m["hasInstallScript"] = true
			}
			versions[p.version()], latest, times[p.version()] = m, p.version(), "2020-01-01T00:00:00.000Z"
		}
		if latest == "" {
			http.NotFound(w, r)
			return
		}
		times["modified"], times["created"] = "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"
		w.Header().Set("Content-Type", "application/json")
		var b bytes.Buffer
		_ = json.NewEncoder(&b).Encode(map[string]any{
			"name": name, "modified": "2020-01-01T00:00:00.000Z", "time": times, "dist-tags": map[string]string{"latest": latest}, "versions": versions,
		})
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(s.Close)
	url = s.URL
	return url
}
