//go:build oracle

package python

import (
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/testkit/pyindex"
)

// TestRecordRequirements has uv install every requirements.txt without hashes and writes what came of it into the case's
// file:
//
//	go test -tags oracle -run TestRecordRequirements ./internal/python -uv /path/to/uv -python /path/to/python3.11
func TestRecordRequirements(t *testing.T) {
	for _, c := range readCases(t, "requirements") {
		if *only != "" && *only != c.name {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(pyindex.Handler(c.packed))
			defer srv.Close()
			r := &recording{t: t, oracleCase: c, dir: t.TempDir(), url: srv.URL}
			r.write("app", r.files)
			for name, files := range r.repos {
				r.write("git/"+name, files)
				for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}, {"tag", "v1"}} {
					r.must("git/"+name, "git", args...)
				}
			}
			r.must("app", *uvBinary, "venv", "-q", "--python", *uvPython)
			want, err := r.do("app", *uvBinary, "pip", "install", "-r", reqsFile)
			if refused := r.options["refused"] != ""; refused != (err != nil) {
				t.Fatalf("uv: %v\n%s", err, want)
			}
			if err == nil {
				want = r.environment()
			}
			file := "testdata/requirements/" + c.name + ".txtar"
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(r.hide(want))})
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
