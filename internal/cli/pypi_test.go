package cli_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"hewn.example/hewn/internal/testkit/pyindex"
)

// pypi packs what lies in pkgs, and writes the pages of an index of it.
func pypi(ts *testscript.TestScript, _ bool, _ []string) {
	pkgs, packed := ts.MkAbs("pkgs"), map[string][]byte{}
	list, err := os.ReadDir(pkgs)
	ts.Check(err)
	for _, d := range list {
		content := map[string]string{}
		root := filepath.Join(pkgs, d.Name())
		ts.Check(filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			rel, _ := filepath.Rel(root, p)
			content[rel] = string(b)
			return err
		}))
		packed[d.Name()] = pyindex.Pack(d.Name(), content)
	}
	put := func(name string, b []byte) {
		name = filepath.Join(ts.MkAbs("www"), name)
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		ts.Check(os.WriteFile(name, b, 0o644))
	}
	for file, b := range packed {
		put("files/"+file, b)
		page := "simple/" + strings.ToLower(pyindex.Project(file)) + "/"
		r := httptest.NewRecorder()
		pyindex.Handler(packed).ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/"+page, nil))
		put(page+"index.html", r.Body.Bytes())
	}
}
