//go:build oracle

package python

import (
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/testkit/pyindex"
)

// TestRecordBroken writes into every case what uv says of its lock:
//
//	go test -tags oracle -run TestRecordBroken ./internal/python -uv /path/to/uv -python /path/to/python3.11
func TestRecordBroken(t *testing.T) {
	for _, c := range readCases(t, "broken") {
		if *only != "" && *only != c.name {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(pyindex.Handler(c.packed))
			defer srv.Close()
			r := &recording{t: t, oracleCase: c, dir: t.TempDir(), url: srv.URL}
			c.fill()
			r.write("app", r.files)
			lock := strings.ReplaceAll(r.show(c.locks[uvLock]), "https://index.example/", srv.URL+"/")
			if err := os.WriteFile(r.dir+"/app/uv.lock", []byte(lock), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := r.do("app", *uvBinary, "sync", "--frozen", "--no-install-project", "--python", *uvPython)
			said := "installed\n"
			if err != nil {
				said = r.hide(strings.ReplaceAll(out[max(0, strings.Index(out, "error: ")):], srv.URL, "https://index.example"))
			}
			file := "testdata/broken/" + c.name + ".txtar"
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(said)})
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
