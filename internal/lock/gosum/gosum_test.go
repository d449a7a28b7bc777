package gosum

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

const h1 = "h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ="

func TestParse(t *testing.T) {
	in := "golang.org/x/text v0.3.0 " + h1 + "\n" +
		"golang.org/x/text v0.3.0/go.mod " + h1 + "\n\n" +
		"golang.org/x/text v0.3.0/go.mod " + h1 + "\r\n" +
		"golang.org/x/text v0.3.0 h2:anything\n" +
		"no.example/module v0.3.0/go.mod " + noModHash + "\n" +
		"github.com/Azure/go-autorest v14.2.0+incompatible " + h1
	sums, err := Parse("go.sum", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) != 3 || sums[0].Mod || !sums[1].Mod || sums[2].Line != 7 || sums[2].Version != "v14.2.0+incompatible" {
		t.Errorf("got %+v", sums)
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"words":   {"a.example/x v1.0.0 " + h1 + "\nhello\n", "go.sum:2: `hello`: malformed go.sum: want `module version hash`"},
		"path":    {"../x v1.0.0 " + h1, "go.sum:1: `../x`"},
		"version": {"a.example/x 1.0 " + h1, "go.sum:1: `a.example/x`"},
		"major":   {"a.example/x v2.0.0 " + h1, "should be v0 or v1"},
		"hash":    {"a.example/x v1.0.0 h1:AAAA", "go.sum:1: `a.example/x`"},
		"a hash of a newer kind alone": {"a.example/x v1.0.0/go.mod " + h1 + "\na.example/x v1.0.0 h2:AAAA=\n",
			"go.sum:2: `a.example/x`: the hash is of a newer kind than h1, which alone is known"},
		"a conflict of a merge": {"<<<<<<< HEAD\na.example/x v1.0.0 " + h1, "go.sum:1: `<<<<<<<`: malformed go.sum: want `module version hash`, got 2 words [this is a conflict of a merge"},
		"no text":               {"\x00\x01\n", "go.sum:1: `\"\\x00\\x01\"`: malformed"},
		"other hash":            {"a.example/x v1.0.0 sha256:" + strings.Repeat("0", 64), "only h1 hashes are known"},
		"conflict": {"a.example/x v1.0.0 " + h1 + "\na.example/x v1.0.0 " + strings.Replace(h1, "Nq", "Mq", 1),
			"go.sum:2: `a.example/x`: malformed go.sum: line 1 has another hash for the same"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("go.sum", []byte(c.in))
			var p *diag.Problem
			if !errors.As(err, &p) || !strings.Contains(fmt.Sprint(err, " ", p.Hints), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(p.Hints) == 0 {
				t.Errorf("%v says nothing of what to do", err)
			}
		})
	}
}

func TestParseModErrors(t *testing.T) {
	const start = "module m.example\n\ngo 1.24\n\nrequire a.example/x v1.0.0\n"
	for name, c := range map[string]struct{ in, want string }{
		"two versions":            {start + "require a.example/x v1.1.0\n", "go.mod:6: `a.example/x`: go.mod requires it in two versions: v1.1.0 here, v1.0.0 in line 5"},
		"excluded":                {start + "exclude a.example/x v1.0.0\n", "go.mod:5: `a.example/x`: go.mod requires v1.0.0, and excludes it"},
		"replaced twice":          {start + "replace b.example => ./b\nreplace b.example => ./c\n", "go.mod:7: `replace b.example`: it is replaced twice: by ./c here, by ./b in line 6"},
		"a conflict of a merge":   {"<<<<<<< HEAD\n" + start, "go.mod:1:1: malformed go.mod: unknown directive: <<<<<<< [this is a conflict of a merge"},
		"an unknown line":         {start + "frobnicate x\n", "go.mod:6:1: malformed go.mod: unknown directive: frobnicate [mend the line"},
		"a byte order mark":       {"\ufeff" + start, "go.mod:1:1: malformed"},
		"a replacement of no use": {start + "replace a.example/x => ../x v1.0.0\n", "go.mod:6:1: malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMod("go.mod", []byte(c.in))
			var p *diag.Problem
			if !errors.As(err, &p) || !strings.Contains(fmt.Sprint(err, " ", p.Hints), c.want) || len(p.Hints) == 0 {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, good := range []string{start + "require a.example/x v1.0.0\n", start + "replace b.example => ./b\nreplace b.example => ./b\nreplace b.example v1.0.0 => ./c\n"} {
		if _, err := ParseMod("go.mod", []byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestParseMod(t *testing.T) {
	m, err := ParseMod("go.mod", []byte(`module goauthentik.io

go 1.24.3

toolchain go1.24.6

require (
	goauthentik.io/api/v3 v3.2026020.5
	a.example/x v1.0.0 // indirect
)

replace a.example/x => ../x
`))
	if err != nil {
		t.Fatal(err)
	}
	if m.Path != "goauthentik.io" || m.Go != "1.24.3" || m.Toolchain != "go1.24.6" || len(m.Require) != 2 || !m.Replace[0].Local() {
		t.Errorf("got %+v", m)
	}
	for in, want := range map[string]string{
		"goauthentik.io/internal/web": "goauthentik.io",
		"goauthentik.io":              "goauthentik.io",
		"goauthentik.io/api/v3":       "goauthentik.io/api/v3",
		"goauthentik.io/api/v3/sub":   "goauthentik.io/api/v3",
		"a.example/xy":                "",
		"net/http":                    "",
	} {
		if got, _ := m.ModuleOf(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "module x\nrequire (\n", "module x\ngo one\n"} {
		_, err := ParseMod("go.mod", []byte(bad))
		var p *diag.Problem
		if !errors.As(err, &p) || p.Pos.File != "go.mod" {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("golang.org/x/text v0.3.0 " + h1 + "\n"))
	twin.Add(f, "go.sum", "\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		var sums []Sum
		var err error
		fuzzing.Bounded(t, len(b), func() { sums, err = Parse("go.sum", b) })
		var p *diag.Problem
		if err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no Problem", err)
		}
		for _, s := range sums {
			if strings.Contains(s.Path, "..") || s.Hash.IsZero() {
				t.Errorf("got %+v", s)
			}
		}
	})
}

func FuzzParseMod(f *testing.F) {
	f.Add([]byte("module x\n\ngo 1.26\n"))
	f.Add(twin.Read(f, "go.mod"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := ParseMod("go.mod", b)
		var p *diag.Problem
		if err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no Problem", err)
		}
	})
}

// BenchmarkParseMod shows that time grows with the number of requirements and no faster: one, ten and a hundred times the
// largest real one known here.
func BenchmarkParseMod(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		var text strings.Builder
		text.WriteString("module m.example\n\ngo 1.26\n\nrequire (\n")
		for i := range n {
			fmt.Fprintf(&text, "\tm%d.example/x v1.0.%d // indirect\n", i, i%50)
		}
		text.WriteString(")\n")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := ParseMod("go.mod", []byte(text.String())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/line")
		})
	}
}
