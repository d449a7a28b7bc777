package wheel

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/python/wheeltest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/tree"
)

type entry = wheeltest.Entry

func pack(t testing.TB, info string, files map[string]entry) []byte {
	t.Helper()
	return wheeltest.Pack(info, files)
}

func install(t testing.TB, st store.Store, in Install, file string, wheel []byte) (tree.Tree, error) {
	t.Helper()
	d, err := st.Put(t.Context(), wheel)
	if err != nil {
		t.Fatal(err)
	}
	b := tree.NewBuilder()
	if err := b.File("deep/"+file, d, false); err != nil {
		t.Fatal(err)
	}
	tr, err := b.Build(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return in.Tree(t.Context(), st, tr)
}

// picture lists a tree with the content of small files.
func picture(t testing.TB, st store.Store, tr tree.Tree) string {
	t.Helper()
	var b strings.Builder
	err := tree.Walk(t.Context(), st, tr, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		text, err := store.ReadBlob(t.Context(), st, e.Digest, 1<<20)
		mark := ""
		if e.Executable {
			mark = " *"
		}
		fmt.Fprintf(&b, "== %s%s\n%s\n", strings.TrimPrefix(p, "/"), mark, strings.TrimRight(string(text), "\n"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var full = map[string]entry{
	"demo/__init__.py":                    {Text: "x = 1\n"},
	"demo/tool":                           {Text: "#!/bin/sh\n", Mode: 0o755},
	"demo, the file.txt":                  {Text: "a name that CSV must quote\n"},
	"demo-1.0.data/purelib/pure.py":       {},
	"demo-1.0.data/platlib/ext.abi3.so":   {Text: "ELF", Mode: 0o755},
	"demo-1.0.data/scripts/placeholder":   {Text: "#!python -u\nprint()\n"},
	"demo-1.0.data/scripts/plain.sh":      {Text: "#!/bin/sh\n"},
	"demo-1.0.data/scripts/short":         {Text: "#"},
	"demo-1.0.data/headers/demo.h":        {Text: "int x;\n"},
	"demo-1.0.data/data/share/man/demo.1": {Text: ".TH\n"},
	"demo-1.0.dist-info/METADATA":         {Text: "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"},
	"demo-1.0.dist-info/WHEEL":            {Text: wheeltest.Head},
	"demo-1.0.dist-info/INSTALLER":        {Text: "pip\n"},
	"demo-1.0.dist-info/entry_points.txt": {Text: "# scripts\n[console_scripts]\ndemo = demo.cli:main\nDemo-2=demo:App.run [extra] # old\n\n[gui_scripts]\ndemo-gui = demo:gui\n[demo.plugins]\nx = anything at all\n"},
}

func TestInstall(t *testing.T) {
	st := memory.New()
	in := Install{Prefix: "/ak-root/.venv", Python: "3.14", Name: "demo", Direct: `{"url":"https://a.example/x","archive_info":{}}`}
	tr, err := install(t, st, in, "demo-1.0-py3-none-any.whl", pack(t, "demo-1.0.dist-info", full))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/install.golden", picture(t, st, tr))

	in.Prefix = "/" + strings.Repeat("long/", 30) + "venv"
	tr, err = install(t, st, in, "demo-1.0-py3-none-any.whl", pack(t, "demo-1.0.dist-info", full))
	if err != nil {
		t.Fatal(err)
	}
	text := picture(t, st, tr)
	if want := "== bin/demo *\n#!/bin/sh\n'''exec' \"" + in.Prefix + "/bin/python\" \"$0\" \"$@\"\n' '''\nimport sys\n"; !strings.Contains(text, want) {
		t.Errorf("no long shebang in\n%s", text)
	}
}

func with(change map[string]entry) map[string]entry {
	m := maps.Clone(full)
	for k, v := range change {
		if v.Text == "-" {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	return m
}

func TestRefusals(t *testing.T) {
	sum512 := sha512.Sum512([]byte("x = 1\n"))
	ok512 := "demo/__init__.py,sha512=" + base64.RawURLEncoding.EncodeToString(sum512[:]) + ",\n"
	record := func(text string) map[string]entry {
		return with(map[string]entry{"demo-1.0.dist-info/RECORD": {Text: text}})
	}
	for _, tc := range []struct {
		name  string
		files map[string]entry
		want  string // of the error; empty: none
	}{
		{"wrong hash", record("demo/__init__.py,sha256=" + strings.Repeat("A", 43) + ",6\n"), "`demo/__init__.py` does not have the hash that RECORD gives: want sha256 0000"},
		{"hash of another kind", record(ok512), ""},
		{"hash in hexadecimal, as some tools write it", record(fmt.Sprintf("demo/__init__.py,sha256=%x,6\n", sha256.Sum256([]byte("x = 1\n")))), ""},
		{"wrong hash in hexadecimal", record("demo/__init__.py,sha256=" + strings.Repeat("ab", 32) + ",6\n"), "does not have the hash that RECORD gives: want sha256 abab"},
		{"wrong hash of another kind", record(strings.Replace(ok512, "=", "=AA", 1)), "does not have the hash that RECORD gives: want sha512"},
		{"weak hash", record("demo/__init__.py,md5=AAAA,6\n"), "RECORD: `demo/__init__.py`: hashes of kind \"md5\" are not accepted"},
		{"no hash", record("demo/__init__.py,nothing,6\n"), "\"nothing\" is not a hash"},
		{"unlisted files pass", record("demo-1.0.dist-info/RECORD,,\n"), ""},
		{"nameless row", record(",sha256=x,1\n"), "RECORD: line 1 names no file"},
		{"newer format", with(map[string]entry{"demo-1.0.dist-info/WHEEL": {Text: "Wheel-Version: 2.0\n"}}), "its wheel format version is \"2.0\", only 1.x is known"},
		{"no WHEEL", with(map[string]entry{"demo-1.0.dist-info/WHEEL": {Text: "-"}}), "WHEEL: no such file"},
		{"two metadata directories", with(map[string]entry{"other-1.0.dist-info/METADATA": {}}), "it has two metadata directories"},
		{"unknown scheme", with(map[string]entry{"demo-1.0.data/etc/passwd": {}}), "belongs to the scheme \"etc\", which is not known"},
		{"link", with(map[string]entry{"demo/link": {Text: "__init__.py", Mode: fs.ModeSymlink}}), "`demo/link` is a symbolic link"},
		{"parent", with(map[string]entry{"../evil": {}}), "its name has a `..`"},
		{"parent in data", with(map[string]entry{"demo-1.0.data/data/../../evil": {}}), "its name has a `..`"},
		{"absolute", with(map[string]entry{"/evil": {}}), "its name is absolute"},
		{"script with a path", with(map[string]entry{"demo-1.0.dist-info/entry_points.txt": {Text: "[console_scripts]\n../x = a:b\n"}}), "entry_points.txt:2: \"../x = a:b\" is not `script = module:function`"},
		{"code in an entry point", with(map[string]entry{"demo-1.0.dist-info/entry_points.txt": {Text: "[console_scripts]\nx = os:system('rm')\n"}}), "is not `script = module:function`"},
		{"entry points in another encoding", with(map[string]entry{"demo-1.0.dist-info/entry_points.txt": {Text: "\xff\xfe[\x00c\x00"}}), "entry_points.txt is not UTF-8"},
		{"control characters", with(map[string]entry{"demo/\x1b[31mred\n.py": {}}), `"demo/\x1b[31mred\n.py" is no name for a file`},
		{"two files at one place", with(map[string]entry{"demo-1.0.data/scripts/demo": {Text: "x"}}), "bin/demo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := install(t, memory.New(), Install{Prefix: "/v", Python: "3.14", Name: "demo"}, "demo-1.0-py3-none-any.whl", pack(t, "demo-1.0.dist-info", tc.files))
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			if !strings.HasPrefix(err.Error(), "cannot install `demo-1.0-py3-none-any.whl`: ") || diag.ExitCode(err) != 1 {
				t.Errorf("%v, exit code %d", err, diag.ExitCode(err))
			}
		})
	}
}

func TestWrongWheel(t *testing.T) {
	good := pack(t, "demo-1.0.dist-info", full)
	for _, tc := range []struct {
		name, file string
		in         Install
		wheel      []byte
		want       string
	}{
		{"other package", "demo-1.0-py3-none-any.whl", Install{Name: "app"}, good, "it is a wheel of `demo`, not of `app`"},
		{"other version inside", "demo-1.1-py3-none-any.whl", Install{Name: "demo"}, good, "metadata directory `demo-1.0.dist-info` belongs to another package or version"},
		{"no metadata", "demo-1.0-py3-none-any.whl", Install{Name: "demo"}, pack(t, "x", map[string]entry{"a.py": {}}), "it has no .dist-info directory"},
		{"truncated", "demo-1.0-py3-none-any.whl", Install{Name: "demo"}, good[:len(good)/2], "cannot read zip archive"},
		{"hash of the lock", "demo-1.0-py3-none-any.whl", Install{Name: "demo", SHA256: strings.Repeat("0", 64)}, good, "it does not have the hash that the lock gives"},
		{"not a wheel", "demo.txt", Install{Name: "demo"}, good, "no wheel where one was expected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Prefix, tc.in.Python = "/v", "3.14"
			if _, err := install(t, memory.New(), tc.in, tc.file, tc.wheel); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// Spellings of names and versions differ between the file and what is in it.
func TestSpellings(t *testing.T) {
	files := map[string]entry{"Demo_App-1.0.0.dist-info/WHEEL": {Text: wheeltest.Head}, "Demo_App-1.0.0.dist-info/METADATA": {Text: "x"}, "a.py": {}}
	if _, err := install(t, memory.New(), Install{Prefix: "/v", Python: "3.14", Name: "demo-app"}, "demo_app-1.0-py3-none-any.whl", pack(t, "Demo_App-1.0.0.dist-info", files)); err != nil {
		t.Error(err)
	}
}

func FuzzInstall(f *testing.F) {
	f.Add(pack(f, "demo-1.0.dist-info", full))
	f.Fuzz(func(t *testing.T, wheel []byte) {
		st := memory.New()
		tr, err := install(t, st, Install{Prefix: "/v", Python: "3.14", Name: "demo"}, "demo-1.0-py3-none-any.whl", wheel)
		if err == nil {
			_ = picture(t, st, tr)
			fuzzing.Tree(t, st, tr)
		}
	})
}

func FuzzEntryPoints(f *testing.F) {
	f.Add(full["demo-1.0.dist-info/entry_points.txt"].Text)
	f.Fuzz(func(t *testing.T, s string) {
		points, err := entryPoints([]byte(s))
		if err != nil {
			return
		}
		for _, p := range points {
			if strings.Contains(p.name, "/") || strings.ContainsAny(p.module+p.attr, "()\n;'\" ") {
				t.Fatalf("%+v", p)
			}
		}
	})
}
