package tomldoc

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

// text prints a value the way plain prints what another decoder made of it.
func text(v Value) string {
	switch v.Kind {
	case Text:
		return fmt.Sprintf("%q", v.Str)
	case List:
		var parts []string
		for _, i := range v.Items {
			parts = append(parts, text(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case Object:
		m := map[string]any{}
		for _, k := range v.Table.Keys() {
			item, _ := v.Table.Get(k)
			m[k] = text(item)
		}
		return fmt.Sprint(m) // fmt sorts keys
	}
	return "scalar"
}

func plain(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		var parts []string
		for _, i := range v {
			parts = append(parts, plain(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case map[string]any:
		m := map[string]any{}
		for k, item := range v {
			m[k] = plain(item)
		}
		return fmt.Sprint(m)
	}
	return "scalar"
}

const sample = `a = 1
b.c = "x"
b.d.e = ['lit', """multi
line"""]
[t]
when = 2026-01-01
[t.u]
x = { y.z = true, y.w = 1.5, "quoted key" = [] }
[[list]]
n = "1"
[list.sub]
k = "v"
[[list]]
n = "2"
[[list.inner]]
[[list.inner]]
[dotted]
m.n = 1
[dotted.m.o]
p = 2
[dotted.m.q]
`

func TestSameAsDecoder(t *testing.T) {
	var want map[string]any
	if err := toml.Unmarshal([]byte(sample), &want); err != nil {
		t.Fatal(err)
	}
	d, err := Parse("a.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(d.Root.Value()); got != plain(want) {
		t.Errorf("got  %s\nwant %s", got, plain(want))
	}
}

// TestByteOrderMark has one before the document, which counts for no position.
func TestByteOrderMark(t *testing.T) {
	d, err := Parse("a.toml", []byte("\ufeffa = 1\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := d.Root.Get("a"); d.At(v, "a").Col != 5 {
		t.Errorf("at %v", d.At(v, "a"))
	}
	if _, err := Parse("a.toml", []byte("\ufeff\ufeffa = 1\n")); err == nil {
		t.Error("two marks were taken")
	}
}

func TestRefusals(t *testing.T) {
	for in, want := range map[string]string{
		"a = 1\na = 2":         "f:2:1: `a`: the key is defined twice",
		"[a]\n[a]":             "f:2:2: `a`: the key is defined twice",
		"[[a]]\n[a]":           "f:2:2: `a`: the key is defined twice",
		"a = []\n[[a]]":        "f:2:3: `a`: the key is defined twice",
		"a = {b = 1}\na.c = 2": "f:2:1: `a`: the key is defined twice",
		"a = {b = 1}\n[a.c]":   "f:2:2: `a`: the key is defined twice",
		"a.b = 1\n[a]":         "f:2:2: `a`: the key is defined twice",
		"a.b.c = 1\n[a.b]":     "f:2:4: `b`: the key is defined twice",
		"[t]\na.b = 1\n[t.a]":  "f:3:4: `a`: the key is defined twice",
		"a = \"x":              "f:1:6: is not TOML",
		"\n\nb = ":             "f:3:4: is not TOML",
		"= 1":                  "f:1:1: is not TOML",

		"a = 1\n<<<<<<< HEAD\nb = 1\n":       "f:2:1: is not TOML: a merge left a conflict here",
		"<<<<<<< HEAD\n":                     "f:1:1: is not TOML: a merge left a conflict here",
		"a = [\n  1,\n=======\n  2,\n]\n":    "f:3:1: is not TOML: a merge left a conflict here",
		"a = 1\n>>>>>>> theirs\nb = [\n 1\n": "f:2:1: is not TOML: a merge left a conflict here",
	} {
		_, err := Parse("f", []byte(in))
		var p *diag.Problem
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.As(err, &p) {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

func TestCursor(t *testing.T) {
	d, err := Parse("f", []byte("n = 1_000\nbad = -1\nfrac = 1.5\ns = \"x\"\nyes = true\nlist = [\"a\", 1]\ntables = [{ k = \"v\" }, 2]\n[sub]\nk = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		read func(c Cursor)
		want string
	}{
		{func(c Cursor) {
			if c.Number("n") != 1000 || c.Text("s") != "x" || !c.Bool("yes") || c.Number("none") != 0 || c.Texts("none") != nil || !c.Has("s") {
				t.Error("wrong values")
			}
		}, "<nil>"},
		{func(c Cursor) { c.Number("bad") }, "f:2:7: `bad`: \"-1\" is not a whole number"},
		{func(c Cursor) { c.Number("frac") }, "f:3:8: `frac`: \"1.5\" is not a whole number"},
		{func(c Cursor) { c.Text("n"); c.Number("s") }, "f:1:5: `n`: must be a string, but is a number"},
		{func(c Cursor) { c.Texts("list") }, "f:6:1: `list`: item 2 must be a string, but is a number"},
		{func(c Cursor) { c.Each("tables", func(c Cursor) { c.Need("k") }) }, "f:7:1: `tables`: item 2 must be a table, but is a number"},
		{func(c Cursor) { c.Each("tables", func(c Cursor) { c.Need("z") }) }, "f:7:11: `tables.z`: `z` is missing"},
		{func(c Cursor) { s, _ := c.Sub("sub"); s.Text("k") }, "f:9:5: `sub.k`: must be a string, but is a number"},
		{func(c Cursor) { s, _ := c.Sub("sub"); s.Named("other").Need("q") }, "f:8:2: `other.q`: `q` is missing"},
	} {
		var err error
		tc.read(d.Cursor(&err))
		if fmt.Sprint(err) != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

// FuzzParse compares with a decoder: what both accept they understand alike.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("[a.b]\n[a]\nc.d = 1\nc.e = 2\n"))
	twin.Add(f, "pyproject.toml", "\n\n")
	twin.Add(f, "Cargo.toml", "\n\n")
	f.Fuzz(func(t *testing.T, s []byte) {
		var d *Doc
		var err error
		fuzzing.Bounded(t, len(s), func() { d, err = Parse("f", s) })
		var want map[string]any
		if err != nil || toml.Unmarshal(s, &want) != nil {
			return
		}
		if got := text(d.Root.Value()); got != plain(want) {
			t.Fatalf("got  %s\nwant %s", got, plain(want))
		}
	})
}
