package debian

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// packagesText writes an index from lines `name version | Field: value | …`.
func packagesText(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		parts := strings.Split(line, ";")
		name, ver, _ := strings.Cut(strings.TrimSpace(parts[0]), " ")
		arch := "amd64"
		for i, p := range parts {
			if a, ok := strings.CutPrefix(strings.TrimSpace(p), "Architecture: "); ok {
				arch, parts = a, slices.Delete(parts, i, i+1)
				break
			}
		}
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nDescription: words\n more words\nFilename: pool/%s_%s_%s.deb\nSize: 100\nSHA256: %x\n",
			name, ver, arch, name, ver, arch, sha256.Sum256([]byte(name)))
		for _, p := range parts[1:] {
			b.WriteString(strings.TrimSpace(p) + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestParseIndex(t *testing.T) {
	text := packagesText(
		"a 1; Depends: x,; Multi-Arch: same",
		"a 2~rc1", "a 1.10", "a 1.9",
		"b 1; Architecture: all; Essential: yes",
		"c 1; Architecture: arm64",
		"d 1; Provides: mail, lib (= 3)", "e 1; Priority: important; Provides: mail", "f 1; Provides: mail",
	)
	text += "Package: folded\nVersion: 1\nArchitecture: all\nFilename: pool/f.deb\nDepends: a,\n b,\n\tc\nLong: " + strings.Repeat("x", 300<<10)
	x, err := parseIndex(strings.NewReader(text), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if got := sortedKeys(x.packages); !slices.Equal(got, []string{"a", "b", "d", "e", "f", "folded"}) {
		t.Error(got)
	}
	if got := x.packages["a"].version; got != "2~rc1" {
		t.Errorf("kept version %s, want the highest", got)
	}
	if !x.packages["b"].essential || x.packages["folded"].depends != "a, b, c" || x.packages["a"].size != 100 {
		t.Errorf("got %+v", x.packages["folded"])
	}
	var mail []string
	for _, p := range x.providers["mail"] {
		mail = append(mail, p.p.name)
	}
	if !slices.Equal(mail, []string{"e", "d", "f"}) {
		t.Errorf("providers %v, want by priority, then name", mail)
	}
}

func TestParseIndexRefuses(t *testing.T) {
	ok := "Package: a\nVersion: 1\nArchitecture: all\nFilename: f\n"
	for name, text := range map[string]string{
		"no name":     "Version: 1\nFilename: f\n",
		"bad name":    strings.Replace(ok, "Package: a", "Package: ../a", 1),
		"bad version": strings.Replace(ok, "Version: 1", "Version: a b", 1),
		"bad size":    ok + "Size: x\n",
		"short hash":  ok + "SHA256: 00\n",
		"odd hash":    ok + "SHA256: 000\n",
		"long hash":   ok + "SHA256: " + strings.Repeat("0", 66) + "\n",
		"no field":    ok + "words\n",
		"bad provide": ok + "Provides: a b c\n",
		"long line":   ok + "X: " + strings.Repeat("x", maxIndexLine) + "\n",
	} {
		if _, err := parseIndex(strings.NewReader(text), "amd64"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseRelation(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"a":                            "a",
		"a, b (>= 1:2-3),c|d":          "a, b (>= 1:2-3), c | d",
		"a(<< 2)|b:any (= 1) , ":       "a (<< 2) | b:any (= 1)",
		"a (> 1), b (< 2), c (>>3~rc)": "a (>= 1), b (<= 2), c (>> 3~rc)",
	} {
		r, err := parseRelation(in)
		var got []string
		for _, g := range r {
			got = append(got, g.String())
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%q: got %q, %v", in, strings.Join(got, ", "), err)
		}
	}
	for _, bad := range []string{"a (>= 1", "a (1)", "a (== 1)", "a (>= )", "a b", "A/../b", "| a", "a (>= 1) [amd64]"} {
		if _, err := parseRelation(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestClosure(t *testing.T) {
	for _, c := range []struct {
		name string
		have []string
		ask  []string
		want string
	}{
		{"depends and pre-depends, not recommends", []string{"a 1; Depends: b; Pre-Depends: c; Recommends: d", "b 1", "c 1", "d 1"}, []string{"package a"}, "a b c"},
		{"cycle", []string{"a 1; Depends: b", "b 1; Depends: a"}, []string{"package a"}, "a b"},
		{"first alternative", []string{"a 1; Depends: b | c", "b 1", "c 1"}, []string{"package a"}, "a b"},
		{"alternative that is there already", []string{"a 1; Depends: b | c", "b 1", "c 1"}, []string{"package a", "package c"}, "a c"},
		{"alternative that comes later without a choice", []string{"a 1; Depends: b | c, z", "b 1", "c 1", "z 1; Depends: c"}, []string{"package a"}, "a c z"},
		{"alternative that does not exist", []string{"a 1; Depends: nope | c", "c 1"}, []string{"package a"}, "a c"},
		{"alternative whose version does not fit", []string{"a 1; Depends: b (>= 2) | c", "b 1", "c 1"}, []string{"package a"}, "a c"},
		{"alternative that conflicts", []string{"a 1; Depends: b | c", "b 1; Conflicts: k", "c 1", "k 1"}, []string{"package a", "package k"}, "a c k"},
		{"virtual package by priority", []string{"a 1; Depends: mail", "b 1; Provides: mail", "z 1; Provides: mail; Priority: standard"}, []string{"package a"}, "a z"},
		{"virtual package by name", []string{"a 1; Depends: mail", "c 1; Provides: mail", "b 1; Provides: mail"}, []string{"package a"}, "a b"},
		{"real before virtual", []string{"a 1; Depends: mail", "b 1; Provides: mail; Priority: required", "mail 1"}, []string{"package a"}, "a mail"},
		{"bound on a versioned provide", []string{"a 1; Depends: lib (>= 2)", "b 1; Provides: lib (= 1)", "c 1; Provides: lib", "d 1; Provides: lib (= 2)"}, []string{"package a"}, "a d"},
		{"architecture qualifiers", []string{"a 1; Depends: p:any, q:native, r:amd64", "p 1; Multi-Arch: allowed", "q 1", "r 1"}, []string{"package a"}, "a p q r"},
		{"alternative that leads to something missing", []string{"a 1; Depends: b | c", "b 1; Depends: x", "x 1; Depends: nope", "c 1"}, []string{"package a"}, "a c"},
		{"alternative that leads to a conflict", []string{"a 1; Depends: b | c", "b 1; Depends: x | y", "x 1; Conflicts: k", "y 1; Conflicts: k", "c 1", "k 1"}, []string{"package a", "package k"}, "a c k"},
		{"bound that fits", []string{"a 1; Depends: b (>= 1:1.0~rc2), b (<< 2:0)", "b 1:1.0-1"}, []string{"package a"}, "a b"},
		{"essential", []string{"a 1", "e 1; Essential: yes; Depends: f", "f 1"}, []string{"package a", "essential"}, "a e f"},
		{"excluded counts as there", []string{"a 1; Depends: b, c | b", "b 1; Depends: d", "c 1", "d 1"}, []string{"package a", "exclude b"}, "a"},
		{"excluded virtual", []string{"a 1; Depends: init", "b 1; Provides: init"}, []string{"package a", "exclude init"}, "a"},
		{"excluded provider is no candidate", []string{"a 1; Depends: mail", "b 1; Provides: mail", "c 1; Provides: mail"}, []string{"package a", "exclude b"}, "a c"},
		{"conflict with what it provides itself", []string{"a 1; Provides: mta; Conflicts: mta"}, []string{"package a"}, "a"},
		{"breaks of an older version only", []string{"a 1; Breaks: b (<< 1)", "b 1"}, []string{"package a", "package b"}, "a b"},
		{"request with alternatives and bound", []string{"b 2", "c 1"}, []string{"package x | b (>= 2)"}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := solve(t, c.have, c.ask)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			slices.Reverse(c.have)
			if again, _ := solve(t, c.have, c.ask); again != got {
				t.Errorf("another order of the index gives %q", again)
			}
		})
	}
}

func solve(t *testing.T, have, ask []string) (string, error) {
	t.Helper()
	x, err := parseIndex(strings.NewReader(packagesText(have...)), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := closure(x, q.request)
	var names []string
	for _, p := range pkgs {
		names = append(names, p.name)
	}
	return strings.Join(names, " "), err
}

func TestClosureFails(t *testing.T) {
	for _, c := range []struct {
		name string
		have []string
		ask  []string
		want []string
	}{
		{"missing, with the chain", []string{"a 1; Depends: b", "b 2; Depends: c (>= 3)", "c 1"}, []string{"package a"},
			[]string{"no package satisfies `c (>= 3)`", "the suite has c 1", "b 2 is needed by a: b", "a 1 is asked for"}},
		{"missing request", []string{"b 1"}, []string{"package a"}, []string{"no package satisfies `a`"}},
		{"conflict, with both chains", []string{"a 1; Depends: b", "b 1; Breaks: c (<< 2)", "c 1"}, []string{"package a", "package c"},
			[]string{"package b 1 cannot be together with c 1", "b 1 has `Breaks: c (<< 2)`", "b 1 is needed by a: b", "a 1 is asked for", "c 1 is asked for"}},
		{"conflict by provide", []string{"a 1; Provides: mta; Conflicts: mta", "b 1; Provides: mta; Conflicts: mta"}, []string{"package a", "package b"},
			[]string{"package b 1 cannot be together with a 1", "b 1 has `Conflicts: mta`", "b 1 is asked for", "a 1 is asked for"}},
		{"foreign architecture", []string{"a 1; Depends: b:arm64", "b 1"}, []string{"package a"},
			[]string{"no package satisfies `b:arm64`", "the suite has b 1", "a 1 is asked for"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := solve(t, c.have, c.ask)
			var p *diag.Problem
			if !errors.As(err, &p) || len(p.Hints) == 0 {
				t.Fatalf("got %v", err)
			}
			if d := cmp.Diff(c.want, append([]string{p.What}, p.Detail...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A search in which every alternative of many leads to the same conflict ends soon.
func TestClosureGivesUp(t *testing.T) {
	have, deps := []string{"k 1"}, []string{}
	for i := range 40 {
		have = append(have, fmt.Sprintf("l%d 1", i), fmt.Sprintf("r%d 1", i))
		deps = append(deps, fmt.Sprintf("l%d | r%d", i, i))
	}
	deps = append(deps, "x | y")
	have = append(have, "a 1; Depends: "+strings.Join(deps, ", "), "x 1; Conflicts: k", "y 1; Conflicts: k")
	start := time.Now()
	_, err := solve(t, have, []string{"package a", "package k"})
	if err == nil || !strings.Contains(err.Error(), "x 1 cannot be together with k 1") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
}

// BenchmarkIndex reads indexes of 1, 10 and 100 times 700 packages, the last being the size of Debian's own: time and
// memory must grow with the size and no faster.
func BenchmarkIndex(b *testing.B) {
	for _, times := range []int{1, 10, 100} {
		var lines []string
		for i := range 700 * times {
			lines = append(lines, fmt.Sprintf("package-%d 1:2.%d-1; Depends: libc6 (>= 2.38), package-%d, package-%d (>= 1) | other; Provides: virtual-%d (= 1); Breaks: package-%d (<< 1); Section: libs; Priority: optional; Tag: %s",
				i, i, (i+1)%(700*times), (i*7+3)%(700*times), i%50, i/2, strings.Repeat("role::shared-lib, ", 8)))
		}
		lines = append(lines, "libc6 2.42-1", "other 1")
		text := packagesText(lines...)
		b.Run(fmt.Sprintf("%dx", times), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseIndex(strings.NewReader(text), "amd64"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, line := range []string{"package", "package a, b", "package a b", "install a", ""} {
		if _, err := parseRequest([]string{line}); err == nil {
			t.Errorf("%q: accepted", line)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(packagesText("a 1; Depends: b | c (>= 1)", "b 1; Provides: x (= 2), y; Conflicts: y", "c 2; Architecture: all")))
	f.Add([]byte("Package: a\nVersion: 1\nArchitecture: all\nFilename: f\nSHA256: 00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := parseIndex(bytes.NewReader(text), "amd64")
		if err != nil {
			return
		}
		for name := range x.packages {
			pkgs, err := closure(x, request{packages: relation{{{name: name}}}})
			if err == nil && len(pkgs) == 0 {
				t.Error("an empty closure")
			}
		}
	})
}

func FuzzRelation(f *testing.F) {
	f.Add("a, b:any (>= 1:2-3~x) | c")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRelation(s)
		if err != nil {
			return
		}
		for _, g := range r {
			again, err := parseRelation(g.String())
			if err != nil || len(again) != 1 || again[0].String() != g.String() {
				t.Fatalf("%q reads as %q, which reads as %v, %v", s, g, again, err)
			}
		}
	})
}
