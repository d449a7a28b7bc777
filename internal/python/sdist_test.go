package python

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/pyindex"
	"hewn.example/hewn/internal/tree"
)

func (s served) Open(_ context.Context, _ origin.Endpoint, u string) (io.ReadCloser, error) {
	r := httptest.NewRecorder()
	s.h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, u, nil))
	return io.NopCloser(r.Body), nil
}

// sdists packs one sdist for each entry `name-version.ext: build requirements`, and gives it as metadata what it says.
func sdists(list map[string]string, info map[string]string) map[string][]byte {
	packed := map[string][]byte{}
	for file, requires := range list {
		name, version, _ := fileName(file)
		files := map[string]string{
			"pyproject.toml":        "[project]\nname = \"" + name + "\"\nversion = \"" + version + "\"\n" + strings.Replace(pyindex.BuildSystem, "requires = []", "requires = ["+requires+"]", 1),
			"wheel/" + name + ".py": "built = True\n",
		}
		if text := info[file]; text != "" {
			files["PKG-INFO"] = text
		}
		packed[file] = pyindex.Pack(file, files)
	}
	return packed
}

func TestResolveSdists(t *testing.T) {
	packed := sdists(map[string]string{"alone-1.0.tar.gz": "", "alone-1.0.zip": "", "newer-2.0.tar.gz": "", "silent-1.0.tar.gz": "", "dynamic-1.0.tar.gz": ""}, map[string]string{
		"alone-1.0.tar.gz":   "Metadata-Version: 2.4\nName: alone\nRequires-Dist: newer\n",
		"silent-1.0.tar.gz":  "Metadata-Version: 1.2\nName: silent\n",
		"dynamic-1.0.tar.gz": "Metadata-Version: 2.2\nName: dynamic\nDynamic: Requires-Dist\n",
	})
	packed["newer-1.0-py3-none-any.whl"] = pyindex.Pack("newer-1.0-py3-none-any.whl", nil)
	s := served{site{endpoints: []string{"https://index.example/simple"}}, pyindex.Handler(packed)}
	for _, tc := range []struct{ request, want string }{
		{"alone", "alone-1.0.tar.gz newer-1.0-py3-none-any.whl"},
		{"newer", "newer-1.0-py3-none-any.whl"},
		{"newer>1", "newer-2.0.tar.gz"},
		{"silent", "metadata of silent-1.0.tar.gz: it does not say what it needs when installed"},
		{"dynamic", "it does not say what it needs when installed"},
	} {
		q := pins.Question{Ecosystem: source.PyPI, Set: "build/x@1", Platform: linux, Request: []string{"python 3.11", tc.request}}
		list, err := Resolver{Getter: s, Endpoints: s}.Resolve(t.Context(), q)
		var names []string
		for _, a := range list {
			names = append(names, a.File)
		}
		if got := strings.Join(names, " "); err == nil && got != tc.want || err != nil && !strings.Contains(problemText(err), tc.want) {
			t.Errorf("%s: got %s, %v\nwant %s", tc.request, got, problemText(err), tc.want)
		}
	}
}

// TestBuildRequirementsFromSdists builds a package whose build requirement has to be built, and one that needs itself.
func TestBuildRequirementsFromSdists(t *testing.T) {
	packed := sdists(map[string]string{"app-dep-1.0.tar.gz": "'first'", "first-1.0.tar.gz": "'second'", "second-1.0.tar.gz": "", "round-1.0.tar.gz": "'trip'", "trip-1.0.tar.gz": "'round'"}, nil)
	sum := (&world{t: t, packed: packed}).sum
	lock := func(file string) string {
		name, version, _ := fileName(file)
		return fmt.Sprintf("lock-version = \"1.0\"\n[[packages]]\nname = %q\nversion = %q\nsdist = { url = \"https://files.example/%s\", hashes = { sha256 = %q } }\n", name, version, file, sum(file).Hex())
	}
	c := &oracleCase{files: map[string]string{}, packed: packed, locks: map[string]string{pyLock: lock("app-dep-1.0.tar.gz")}}
	w := &oracleWorld{oracleCase: c, st: memory.New(), lock: pyLock}
	got, err := w.install()
	if err != nil {
		t.Fatal(problemText(err))
	}
	if text := got.String(); !strings.Contains(text, "site-packages/app-dep.py ") || strings.Contains(text, "first") {
		t.Errorf("the environment has\n%s", text)
	}
	for label, module := range map[string]string{"build app-dep 1.0": "first.py", "build first 1.0": "second.py", "build second 1.0": ""} {
		root, ok := w.roots["venv: "+label]
		if !ok {
			t.Fatalf("%s was not run, but %v", label, w.roots)
		}
		_, err := tree.Lookup(t.Context(), w.st, root, strings.TrimPrefix(buildEnv, "/")+"/lib/python3.11/site-packages/"+module)
		if err != nil {
			t.Errorf("%s: %v", label, err)
		}
	}

	c.locks[pyLock] = lock("round-1.0.tar.gz")
	_, err = (&oracleWorld{oracleCase: c, st: memory.New(), lock: pyLock}).install()
	for _, want := range []string{"pylock.toml:2:3: `packages.round`: target venv: `round` would be needed in order to build itself", "round needs trip needs round"} {
		if err == nil || !strings.Contains(problemText(err), want) {
			t.Errorf("got  %v\nwant %s", problemText(err), want)
		}
	}
}
