package cli_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hewn.example/hewn/internal/source"
)

// TestScript runs testdata/script: one file a behaviour, the first word of its name is the command. A script has its own
// store, home and work directory; `tools` holds the helper, which is all that its actions find. Besides testscript's own
// commands there are:
//
//	exits CODE CMD...  runs a command that must end with that code
//	said               writes what the last command said, without what differs between runs, to the file `said`
//	registry           serves the directory www; $REGISTRY is its address, the file `asked` gets what was asked for
//	npm NAME VERSION   packs the directory pkg for www; $INTEGRITY is the hash of the tarball
//	debian             makes a signed suite `testing` in www/debian with the package tiny, of the index `contents` if there
//	                   is one; archive.gpg is its key
//	pypi               packs each directory pkgs/FILE as the wheel or sdist of that name, for an index at www/simple
//	evil KIND          packs a tarball that wants out (up, absolute, link, device) instead
//	cut FILE           keeps the first half of a tarball; $INTEGRITY is its hash
//	subst FILE...      replaces $REGISTRY and $INTEGRITY in files
//	untouched          fails where the store holds something unfinished
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup:         setUpScript,
		Condition: func(cond string) (bool, error) {
			if cond != "userns" {
				return false, errors.New("no such condition: " + cond)
			}
			why := noSandbox()
			if why != "" && os.Getenv("CI") != "" {
				return false, errors.New("must not be skipped in CI: " + why)
			}
			return why == "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "said": said, "registry": registry, "npm": npm, "gomod": gomod, "debian": debianArchive, "evil": evil, "pypi": pypi, "cut": cut, "subst": subst, "untouched": untouched,
		},
	})
}

func setUpScript(e *testscript.Env) error {
	for _, d := range []string{"home", "tools/bin", "www"} {
		if err := os.MkdirAll(filepath.Join(e.WorkDir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(helper, filepath.Join(e.WorkDir, "tools/bin/helper")); err != nil {
		return err
	}
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("HEWN_STORE", filepath.Join(e.WorkDir, ".store"))
	e.Setenv("CI", "true")
	e.Setenv("NO_PROXY", "127.0.0.1")
	return nil
}

// noSandbox says why this machine has no sandbox; empty where it has.
var noSandbox = sync.OnceValue(func() string {
	cmd := exec.Command(helper, "say")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if err := cmd.Run(); err != nil {
		return "no user namespaces: " + err.Error()
	}
	return ""
})

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("ended with %d, want %d", got, want)
	}
}

// differs is what no two runs have in common: times, and the names of loopback ports.
var differs = regexp.MustCompile(`\d+\.\d s\b|127\.0\.0\.1:\d+`)

// progress is what tells of the course of a run; in which order steps end is left to chance.
var progress = regexp.MustCompile(`(?m)^(run   |done  |failed) .*\n`)

func said(ts *testscript.TestScript, _ bool, _ []string) {
	text := strings.ReplaceAll(ts.ReadFile("stderr"), ts.Getenv("WORK"), "$WORK")
	text = progress.ReplaceAllString(text, "")
	text = differs.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasSuffix(s, "s") {
			return "T s"
		}
		return "127.0.0.1:PORT"
	})
	ts.Check(os.WriteFile(ts.MkAbs("said"), []byte(text), 0o644))
}

func registry(ts *testscript.TestScript, _ bool, _ []string) {
	files := http.FileServer(http.Dir(ts.MkAbs("www")))
	work := ts.Getenv("WORK")
	var mu sync.Mutex
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path+"\n")
		slices.Sort(asked)
		err := os.WriteFile(filepath.Join(work, "asked"), []byte(strings.Join(asked, "")), 0o644)
		mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(srv.Close)
	ts.Setenv("REGISTRY", srv.URL)
}

func subst(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := ts.ReadFile(name)
		for _, k := range []string{"REGISTRY", "INTEGRITY", "H1ZIP", "H1MOD"} {
			text = strings.ReplaceAll(text, "$"+k, ts.Getenv(k))
		}
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// npm packs pkg as npm does: everything below `package/`.
func npm(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: npm NAME VERSION")
	}
	var headers []*tar.Header
	var content []string
	root := ts.MkAbs("pkg")
	ts.Check(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		headers = append(headers, &tar.Header{Typeflag: tar.TypeReg, Name: "package/" + rel, Mode: 0o644, Size: int64(len(b))})
		content = append(content, string(b))
		return err
	}))
	publish(ts, args[0], args[1], headers, content)
}

// gomod puts the directory mod on the proxy, as a module of a path without capitals, and sets H1ZIP and H1MOD.
func gomod(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: gomod MODULE VERSION")
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	root := ts.MkAbs("mod")
	ts.Check(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		w, err := z.Create(args[0] + "@" + args[1] + "/" + rel)
		ts.Check(err)
		_, err = w.Write([]byte(ts.ReadFile(p)))
		return err
	}))
	ts.Check(z.Close())
	at := filepath.Join(ts.MkAbs("www"), args[0], "@v")
	ts.Check(os.MkdirAll(at, 0o755))
	for ext, b := range map[string][]byte{".zip": packed.Bytes(), ".mod": []byte(ts.ReadFile("mod/go.mod"))} {
		ts.Check(os.WriteFile(filepath.Join(at, args[1]+ext), b, 0o644))
		sum, err := source.VerifyH1(ext, bytes.NewReader(b), int64(len(b)))
		ts.Check(err)
		ts.Setenv("H1"+strings.ToUpper(ext[1:]), sum.String())
	}
}

// evil packs an archive that no unpacker may follow.
func evil(ts *testscript.TestScript, _ bool, args []string) {
	bad := map[string]*tar.Header{
		"up":       {Typeflag: tar.TypeReg, Name: "package/../../escaped", Mode: 0o644},
		"absolute": {Typeflag: tar.TypeReg, Name: "/escaped", Mode: 0o644},
		"link":     {Typeflag: tar.TypeSymlink, Name: "package/out", Linkname: "../../../../escaped"},
		"hardlink": {Typeflag: tar.TypeLink, Name: "package/out", Linkname: "../../etc/passwd"},
		"device":   {Typeflag: tar.TypeBlock, Name: "package/disk", Devmajor: 8},
	}[args[0]]
	manifest := `{"name": "evil", "version": "1.0.0"}`
	publish(ts, "evil", "1.0.0", []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))}, bad,
	}, []string{manifest, ""})
}

func publish(ts *testscript.TestScript, name, version string, headers []*tar.Header, content []string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i, h := range headers {
		ts.Check(w.WriteHeader(h))
		_, err := w.Write([]byte(content[i]))
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(z.Close())
	dir := ts.MkAbs("www/" + name + "/-")
	ts.Check(os.MkdirAll(dir, 0o755))
	store(ts, filepath.Join(dir, name+"-"+version+".tgz"), b.Bytes())
}

func store(ts *testscript.TestScript, file string, b []byte) {
	ts.Check(os.WriteFile(file, b, 0o644))
	sum := sha512.Sum512(b)
	ts.Setenv("INTEGRITY", "sha512-"+base64.StdEncoding.EncodeToString(sum[:]))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.ReadFile(args[0])
	store(ts, ts.MkAbs(args[0]), []byte(b[:len(b)/2]))
}

// untouched looks for what an unfinished run would leave in the store.
func untouched(ts *testscript.TestScript, _ bool, _ []string) {
	if left := leftovers(ts.Getenv("HEWN_STORE")); len(left) > 0 {
		ts.Fatalf("left in the store: %v", left)
	}
}

// leftovers are the temporary files and roots in a store.
func leftovers(store string) []string {
	var left []string
	for _, pattern := range []string{"*/tmp/*", "*/sandbox/run-*", "*/sandbox/dead-*"} {
		found, _ := filepath.Glob(filepath.Join(store, pattern))
		left = append(left, found...)
	}
	return left
}
