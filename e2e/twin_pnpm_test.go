//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const pnpmRecipe = `
def modules(t):
    return node.modules(t.source("twin").dir("web"))

target("modules", modules, doc = "node_modules from pnpm-lock.yaml", default = True)
`

// onlyPnpm12 is where pnpm 12 leaves packages that pnpm 10 and ours do not; docs/LOCKS.md tells of it.
const onlyPnpm12 = "node_modules/@eslint-community/eslint-utils/node_modules/"

// asPnpm compares node_modules from pnpm-lock.yaml with what the pnpm makes of it that wrote it, in both layouts.
func (w *world) asPnpm(t *testing.T) {
	dir := t.TempDir()
	pnpm := installPnpm(t, w.repo, dir)
	for _, linker := range []string{"isolated", "hoisted"} {
		t.Run(linker, func(t *testing.T) {
			ours, theirs := filepath.Join(dir, linker), filepath.Join(dir, "pnpm-"+linker)
			twinForPnpm(t, w.repo, ours, linker)
			twinForPnpm(t, w.repo, theirs, linker)
			must(t, os.WriteFile(filepath.Join(ours, "recipe.star"), []byte(pnpmRecipe), 0o644))
			must(t, os.WriteFile(filepath.Join(ours, "sources.toml"), []byte("[twin]\npath = \".\"\n"), 0o644))
			must(t, os.WriteFile(filepath.Join(ours, "hewn.toml"), nil, 0o644))
			out := filepath.Join(dir, "out-"+linker)
			t.Logf("hewn: %s", w.first.must(t, "build", ours, "--out", out))

			c := exec.Command(pnpm, "install", "--frozen-lockfile", "--ignore-scripts", "--store-dir="+filepath.Join(dir, "pnpm-store"))
			c.Dir, c.Env = filepath.Join(theirs, "web"), environ(nil, "CI=1", "pnpm_config_pm_on_fail=ignore")
			began := time.Now()
			if text, err := c.CombinedOutput(); err != nil {
				t.Fatalf("pnpm install: %v\n%s", err, text)
			}
			t.Logf("pnpm: %.1f s", time.Since(began).Seconds())
			comparePnpm(t, linker, installedFiles(t, filepath.Join(out, "web")), installedFiles(t, filepath.Join(theirs, "web")))
			must(t, os.RemoveAll(theirs))
			must(t, os.RemoveAll(out))
		})
	}
}

// installPnpm brings in the pnpm of tools.txt.
func installPnpm(t *testing.T, repo, dir string) string {
	t.Helper()
	tools, err := os.ReadFile(filepath.Join(repo, "e2e/twin/tools.txt"))
	must(t, err)
	version := regexp.MustCompile(`(?m)^pnpm (\S+)$`).FindSubmatch(tools)
	if version == nil {
		t.Fatal("tools.txt names no pnpm")
	}
	arch := strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	c := exec.Command("npm", "install", "--prefix", filepath.Join(dir, "pnpm"), "--no-audit", "--no-fund", "--ignore-scripts", "@pnpm/exe.linux-"+arch+"@"+string(version[1]))
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, text)
	}
	return filepath.Join(dir, "pnpm/node_modules/@pnpm/exe.linux-"+arch, "pnpm")
}

// twinForPnpm copies what decides node_modules. packageManager stands one directory further up in the twin.
func twinForPnpm(t *testing.T, repo, to, linker string) {
	t.Helper()
	from := filepath.Join(repo, "e2e/twin")
	copyFile(t, filepath.Join(from, "package.json"), filepath.Join(to, "package.json"))
	copyFile(t, filepath.Join(from, ".npmrc"), filepath.Join(to, ".npmrc"))
	copyDir(t, filepath.Join(from, "web/packages"), filepath.Join(to, "web/packages"))
	copyFile(t, filepath.Join(from, "web/pnpm-lock.yaml"), filepath.Join(to, "web/pnpm-lock.yaml"))
	top, err := os.ReadFile(filepath.Join(from, "package.json"))
	must(t, err)
	manifest, err := os.ReadFile(filepath.Join(from, "web/package.json"))
	must(t, err)
	named := regexp.MustCompile(`"packageManager": "[^"]*"`).Find(top)
	must(t, os.WriteFile(filepath.Join(to, "web/package.json"), []byte(strings.Replace(string(manifest), "{", "{ "+string(named)+",", 1)), 0o644))
	settings, err := os.ReadFile(filepath.Join(from, "web/pnpm-workspace.yaml"))
	must(t, err)
	text := regexp.MustCompile(`(?m)^nodeLinker: .*$`).ReplaceAllString(string(settings), "nodeLinker: "+linker)
	must(t, os.WriteFile(filepath.Join(to, "web/pnpm-workspace.yaml"), []byte(text), 0o644))
}

// installedFiles lists what lies in folders node_modules: content and executable bit, target of a link. Of scripts in `.bin`
// the text is not compared, and pnpm's notes on its installation are left out.
func installedFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(file, dir+"/")
		if err != nil || e.IsDir() || !strings.Contains("/"+name, "/node_modules/") ||
			slices.Contains([]string{"node_modules/.modules.yaml", "node_modules/.pnpm-workspace-state-v1.json", "node_modules/.pnpm/lock.yaml"}, name) {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			out[name], err = os.Readlink(file)
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		if strings.Contains(name, "/.bin/") {
			out[name] = fmt.Sprint(st.Mode()&0o111 != 0)
			return nil
		}
		b, err := os.ReadFile(file)
		out[name] = fmt.Sprintf("%t %x", st.Mode()&0o111 != 0, sha256.Sum256(b))
		return err
	}))
	return out
}

func comparePnpm(t *testing.T, linker string, ours, theirs map[string]string) {
	t.Helper()
	if len(theirs) < 50_000 {
		t.Errorf("pnpm made %d files only", len(theirs))
	}
	var wrong []string
	known := 0
	for name, content := range theirs {
		switch _, here := ours[name]; {
		case !here && linker == "hoisted" && strings.HasPrefix(name, onlyPnpm12):
			known++
		case ours[name] != content:
			wrong = append(wrong, fmt.Sprintf("%s: hewn has %q, pnpm %q", name, ours[name], content))
		}
	}
	for name := range ours {
		if _, ok := theirs[name]; !ok {
			wrong = append(wrong, name+": pnpm does not have it")
		}
	}
	slices.Sort(wrong)
	for _, w := range wrong[:min(len(wrong), 20)] {
		t.Error(w)
	}
	t.Logf("%d files and links, %d differ, %d that only pnpm 12 has", len(theirs), len(wrong), known)
}
