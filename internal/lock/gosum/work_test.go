package gosum

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
)

func TestParseWork(t *testing.T) {
	w, err := ParseWork("go.work", []byte("go 1.24\n\ntoolchain go1.25.1\n\nuse (\n\t.\n\t./lib\n)\n\nreplace a.example => ./a\n"))
	if err != nil || w.Go != "1.24" || w.Toolchain != "go1.25.1" || strings.Join(w.Use, " ") != ". ./lib" || len(w.Replace) != 1 || !w.Replace[0].Local() {
		t.Errorf("got %+v, %v", w, err)
	}
	if _, err := ParseWork("go.work", []byte("go 1.24\nuse\n")); err == nil || !strings.Contains(err.Error(), "go.work:2") {
		t.Errorf("got %v", err)
	}
}

func TestCheckVendor(t *testing.T) {
	const vendored = "# a.example v1.0.0\n## explicit; go 1.21\na.example\n# b.example v1.0.0 => ./b\n## explicit\n# b.example => ./b\n# c.example v1.0.0\n## go 1.21\n"
	const good = "module m.example\nrequire (\n\ta.example v1.0.0\n\tb.example v1.0.0\n)\nreplace b.example => ./b\n"
	for _, c := range []struct{ mod, want string }{
		{good, ""},
		{strings.Replace(good, "a.example v1.0.0", "a.example v1.1.0", 1), "the vendored modules are not those of go.mod: go.mod requires a.example v1.1.0, vendored is v1.0.0"},
		{good + "require d.example v1.0.0\n", "requires d.example v1.0.0, which is not vendored"},
		{good + "require c.example v1.0.0\n", "requires c.example, which is not marked as explicit"},
		{strings.Replace(good, "\ta.example v1.0.0\n", "", 1), "modules.txt:1: the vendored modules are not those of go.mod: a.example is marked as explicit, but no go.mod requires it"},
		{strings.Replace(good, "./b", "./other", 1), "go.mod replaces b.example by ./other"},
	} {
		m, err := ParseMod("go.mod", []byte(c.mod))
		if err != nil {
			t.Fatal(err)
		}
		err = ParseVendor("modules.txt", []byte(vendored)).Check(nil, []*Mod{m})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func FuzzParseWork(f *testing.F) {
	f.Add([]byte("go 1.24\nuse .\n# a.example v1.0.0 => b v1\n## explicit\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *diag.Problem
		if _, err := ParseWork("go.work", b); err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no Problem", err)
		}
		if err := ParseVendor("modules.txt", b).Check(nil, nil); err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no Problem", err)
		}
	})
}

// BenchmarkParse shows that time grows with the number of lines and no faster.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{262, 2_620, 26_200} { // once, ten and a hundred times that of authentik
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "m%d.example/x v1.0.%d h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\n", i, i%50)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse("go.sum", []byte(text.String())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/line")
		})
	}
}
