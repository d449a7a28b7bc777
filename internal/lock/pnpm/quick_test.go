package pnpm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

const twin = "../../../e2e/twin/web/pnpm-lock.yaml"

// locks are all that pnpm wrote in this repository.
func locks(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{twin, "testdata/mixed.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	cases, err := filepath.Glob("../../node/testdata/pnpm/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range cases {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range ar.Files {
			if f.Name == "pnpm-lock.yaml" {
				out[file] = f.Data
			}
		}
	}
	return out
}

// both reads a lock twice: as pnpm writes it, and with the YAML library. quickly says that the first was possible.
func both(b []byte) (a, s *Lock, errA, errS error, quickly bool) {
	r := &reader{file: "pnpm-lock.yaml"}
	text, skipped, err := r.lockDocument(b)
	if err != nil {
		return nil, nil, err, err, false
	}
	top, ok := quick(text, skipped)
	if !ok {
		return nil, nil, nil, nil, false
	}
	read := func(f func(*Lock) error) (*Lock, error) {
		l := newLock("pnpm-lock.yaml", skipped > 0)
		if err := f(l); err != nil {
			return nil, err
		}
		return l, r.check(l)
	}
	a, errA = read(func(l *Lock) error { return r.plain(l, top) })
	s, errS = read(func(l *Lock) error { return r.unusual(l, text, skipped) })
	return a, s, errA, errS, true
}

// TestQuickIsTheSame reads every lock that pnpm wrote in both ways.
func TestQuickIsTheSame(t *testing.T) {
	for name, b := range locks(t) {
		a, s, errA, errS, quickly := both(b)
		if !quickly {
			t.Errorf("%s: not in the form in which pnpm writes", name)
			continue
		}
		if errA != nil || errS != nil || !reflect.DeepEqual(a, s) {
			t.Errorf("%s: %v, %v; equal: %v", name, errA, errS, reflect.DeepEqual(a, s))
		}
	}
}

// TestQuickForms has one line a form; a form that is not read quickly has to be read by the library all the same.
func TestQuickForms(t *testing.T) {
	const head = "lockfileVersion: '9.0'\nimporters:\n  .: {}\n"
	const tail = "snapshots:\n  a@1.0.0: {}\n"
	pkg := func(line string) string {
		return head + "packages:\n  a@1.0.0:\n    resolution: {integrity: " + integrity + "}\n    " + line + "\n" + tail
	}
	tests := []struct {
		name, in string
		quick    bool
		want     string // of deprecated
	}{
		{"plain", pkg("deprecated: use b"), true, "use b"},
		{"colon", pkg("deprecated: see https://a.example/x:y"), true, "see https://a.example/x:y"},
		{"single quotes", pkg("deprecated: 'it''s: #1'"), true, "it's: #1"},
		{"double quotes", pkg(`deprecated: "a: b"`), true, "a: b"},
		{"escapes", pkg(`deprecated: "a\nb"`), false, "a\nb"},
		{"literal, without end", pkg("deprecated: |-\n      one\n      two"), true, "one\ntwo"},
		{"literal", pkg("deprecated: |\n      one\n\n      two"), true, "one\n\ntwo\n"},
		{"folded", pkg("deprecated: >-\n      one\n      two"), true, "one two"},
		{"folded in paragraphs", pkg("deprecated: >-\n      one\n\n      two"), false, "one\ntwo"},
		{"on two lines", pkg("deprecated: one\n      two"), false, "one two"},
		{"comment", pkg("deprecated: one # two"), false, "one"},
		{"letters", pkg("deprecated: ünï’cödé"), true, "ünï’cödé"},
		{"a key without a value between brackets", pkg("engines: {node: '>=1', npm. x, y: z}\n    deprecated: a"), false, "a"},
		{"number", pkg("deprecated: 1.10"), true, "1.10"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, ok := quick([]byte(c.in), 0)
			l, err := Parse("pnpm-lock.yaml", []byte(c.in))
			if ok != c.quick || err != nil || l.Packages[0].Deprecated != c.want {
				t.Fatalf("quick %v, error %v, text %q", ok, err, l.Packages[0].Deprecated)
			}
			if a, s, errA, errS, ok := both([]byte(c.in)); ok && (errA != nil || errS != nil || !reflect.DeepEqual(a, s)) {
				t.Errorf("differs: %v %v", errA, errS)
			}
		})
	}
}

// An empty entry of a list is no text.
func TestQuickEmptyEntry(t *testing.T) {
	for _, in := range []string{"a:\n  - ", "a:\n  - \n", "a: []\nb:\n  - x\n  - \n"} {
		if _, ok := quick([]byte(in), 0); ok {
			t.Errorf("read quickly: %q", in)
		}
	}
}

// TestQuickTwice is about keys that stand twice, also where nobody looks.
func TestQuickTwice(t *testing.T) {
	const lock = "lockfileVersion: '9.0'\nimporters:\n  .: {}\n"
	for _, in := range []string{
		lock + "other:\n  d: 0\n  d: 1\n", lock + "other:\n  b: 0\n  a: 1\n  'b': 2\n", lock + "other:\n  a: {x: 1, y: 2, x: 3}\n",
		lock + "a: 1\na: 2\n",
	} {
		if _, ok := quick([]byte(in), 0); ok {
			t.Errorf("read quickly:\n%s", in)
		}
		if _, err := Parse("pnpm-lock.yaml", []byte(in)); err == nil || !strings.Contains(err.Error(), "already defined") && !strings.Contains(err.Error(), "stands twice") {
			t.Errorf("%v:\n%s", err, in)
		}
	}
	if _, ok := quick([]byte(lock+"other:\n  b: 0\n  a: {q: 1, p: 2}\n"), 0); !ok {
		t.Error("other order is not read quickly")
	}
}

// multiplied is a lock n times the size of b, under other names.
func multiplied(b []byte, n int) []byte {
	section := func(name string) []byte {
		_, rest, _ := bytes.Cut(b, []byte("\n"+name+":\n\n"))
		for i := range rest {
			if rest[i] == '\n' && i+1 < len(rest) && rest[i+1] >= 'a' && rest[i+1] <= 'z' {
				return rest[:i+1]
			}
		}
		return rest
	}
	out := bytes.NewBuffer(bytes.Clone(b[:bytes.Index(b, []byte("\npackages:\n"))]))
	for _, name := range []string{"packages", "snapshots"} {
		fmt.Fprintf(out, "\n%s:\n\n", name)
		for i := range n {
			for line := range strings.Lines(string(section(name))) {
				if i > 0 && len(line) > 3 && line[:2] == "  " && line[2] != ' ' {
					at := strings.LastIndex(line[:strings.IndexByte(line+"(", '(')], "@")
					line = line[:at+1] + fmt.Sprint("7.", i, ".") + line[at+1:]
				}
				out.WriteString(line)
			}
		}
	}
	return out.Bytes()
}

// BenchmarkTwin reads the lock of the twin, and what is ten and a hundred times as large.
func BenchmarkTwin(b *testing.B) {
	one, err := os.ReadFile(twin)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 10, 100} {
		text := multiplied(one, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Parse("pnpm-lock.yaml", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzQuick looks for texts that mean something else to the YAML library.
func FuzzQuick(f *testing.F) {
	for _, b := range locks(f) {
		if len(b) < 8<<10 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 16<<10 {
			t.Skip()
		}
		a, s, errA, errS, quickly := both(b)
		if quickly && errA == nil && (errS != nil || !reflect.DeepEqual(a, s)) {
			t.Errorf("read quickly: %+v\nby the library: %+v, %v", a, s, errS)
		}
	})
}
