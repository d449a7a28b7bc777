package resolver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
)

// world is a provider from text: a line `name version: requirement; requirement`, `!` behind the version for yanked,
// `?` for unusable.
type world struct {
	candidates map[string][]Candidate
	yanked     map[string][]Candidate
	requires   map[string][]string
	unusable   map[string]bool
	asked      []string
}

func parse(t testing.TB, text string) *world {
	t.Helper()
	w := &world{map[string][]Candidate{}, map[string][]Candidate{}, map[string][]string{}, map[string]bool{}, nil}
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		head, deps, _ := strings.Cut(line, ":")
		name, version, _ := strings.Cut(head, " ")
		list := w.candidates
		if v, ok := strings.CutSuffix(version, "!"); ok {
			version, list = v, w.yanked
		}
		if v, ok := strings.CutSuffix(version, "?"); ok {
			version = v
			w.unusable[name+" "+version] = true
		}
		v, err := pep440.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		list[name] = append(list[name], Candidate{Version: v})
		slices.SortFunc(list[name], func(a, b Candidate) int { return pep440.Compare(b.Version, a.Version) })
		for _, d := range strings.Split(deps, "|") {
			if d = strings.TrimSpace(d); d != "" {
				w.requires[name+" "+v.String()] = append(w.requires[name+" "+v.String()], d)
			}
		}
	}
	return w
}

func (w *world) Candidates(_ context.Context, name string) (usable, yanked []Candidate, err error) {
	usable, yanked = w.candidates[name], w.yanked[name]
	if len(usable)+len(yanked) == 0 {
		return nil, nil, fmt.Errorf("no project %s", name)
	}
	return usable, yanked, nil
}

func (w *world) Requires(_ context.Context, name string, c Candidate) ([]pep508.Requirement, error) {
	key := name + " " + c.Version.String()
	if !slices.Contains(w.asked, key) {
		w.asked = append(w.asked, key)
	}
	if w.unusable[key] {
		return nil, fmt.Errorf("%s: %w", key, ErrUnusable)
	}
	var out []pep508.Requirement
	for _, text := range w.requires[key] {
		r, err := pep508.Parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func requirements(t testing.TB, text string) (out []pep508.Requirement) {
	t.Helper()
	for _, line := range strings.Split(text, "|") {
		if line = strings.TrimSpace(line); line != "" {
			r, err := pep508.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, r)
		}
	}
	return out
}

func resolve(t testing.TB, w *world, ask, constraints string) string {
	t.Helper()
	env, err := pep508.CPython("3.14.0", platform.Platform{OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Resolve(t.Context(), w, env, requirements(t, ask), requirements(t, constraints))
	if err != nil {
		return "error: " + err.Error()
	}
	var parts []string
	for _, c := range got {
		parts = append(parts, c.Name+" "+c.Version.String())
	}
	return strings.Join(parts, ", ")
}

func TestResolve(t *testing.T) {
	for _, tc := range []struct{ name, world, ask, constraints, want string }{
		{"newest", "a 1\na 2\na 10", "a", "", "a 10"},
		{"chain", "a 1: b>=2\nb 1\nb 2: c\nb 3: c<5\nc 4\nc 6", "a", "", "a 1, b 3, c 4"},
		{"constraint", "a 1\na 2", "a", "a<2|zzz<1", "a 1"},
		{"older parent because of a child", "a 2: c>=2\na 1: c>=1\nb 1: c<2\nc 1\nc 2", "a|b", "", "a 1, b 1, c 1"},
		{"conflict with what was asked for", "a 1: c>=2\nc 1\nc 2", "a|c<2", "", "error: no version of c fits: `c<2` is asked for; `c>=2` is needed by a 1"},
		{"conflict between two", "a 1: c>=2\nb 1: c<2\nc 1\nc 2", "a|b", "", "error: no version of c fits: `c<2` is needed by b 1; `c>=2` is needed by a 1"},
		{"no version", "a 1", "a>=2", "", "error: no version of a fits: `a>=2` is asked for"},
		{"constraint in the way", "a 1", "a", "a>=2", "error: no version of a fits: `a>=2` is a constraint; `a` is asked for"},
		{"no project", "a 1: ghost", "a", "", "error: `ghost` is needed by a 1: no project ghost"},
		{"markers", "a 1: old; python_version<'3' | new; python_version>='3'\nnew 1\nold 1", "a|old; sys_platform=='win32'", "", "a 1, new 1"},
		{"extras", "a 1: b; extra=='x' | c; extra=='y'\nb 1\nc 1", "a[x]", "", "a 1, b 1"},
		{"extra asked for later", "a 1: b; extra=='x'\nb 1\nd 1: a[x]", "a|d", "", "a 1, b 1, d 1"},
		{"extra only of an older version", "a 2: b>=9; extra=='x'\na 1: b; extra=='x'\nb 1\nd 1: a[x]", "a|d", "", "a 1, b 1, d 1"},
		{"no pre-releases", "a 1\na 2rc1", "a", "", "a 1"},
		{"pre-releases asked for", "a 1\na 2rc1", "a>=1.0a1", "", "a 2rc1"},
		{"nothing but pre-releases", "a 1a1\na 1b1", "a", "", "a 1b1"},
		{"yanked", "a 1\na 2!", "a", "", "a 1"},
		{"yanked but named", "a 1\na 2!", "a==2", "", "a 2"},
		{"unusable", "a 1\na 2?", "a", "", "a 1"},
		{"cycle", "a 1: b\nb 1: a", "a", "", "a 1, b 1"},
		{"self with extra", "a 1: a[x]; extra=='all' | b; extra=='x'\nb 1", "a[all]", "", "a 1, b 1"},
		{"URL", "a 1: b @ https://x.example/b.whl\nb 1", "a", "", "error: `b @ https://x.example/b.whl` is needed by a 1: requirements with a URL are not supported"},
		{"nothing", "a 1", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := resolve(t, parse(t, tc.world), tc.ask, tc.constraints); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A conflict between the first and the last project must not try all versions of the twenty in between.
func TestJumpsBack(t *testing.T) {
	var b strings.Builder
	b.WriteString("first 2: last<2\nfirst 1\nlast 2\n")
	ask := "first"
	for i := range 20 {
		for v := range 5 {
			fmt.Fprintf(&b, "p%d %d\n", i, v+1)
		}
		ask += fmt.Sprintf("|p%d", i)
	}
	w := parse(t, b.String())
	if got := resolve(t, w, ask+"|last>=2", ""); !strings.HasPrefix(got, "first 1, last 2, p0 5,") {
		t.Error(got)
	}
	if len(w.asked) > 50 {
		t.Errorf("%d versions were looked at", len(w.asked))
	}
}

// FuzzResolve compares the search with trying everything.
func FuzzResolve(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() int {
			if len(data) == 0 {
				return 0
			}
			n := int(data[0])
			data = data[1:]
			return n
		}
		const names, versions = 4, 3
		ops := []string{"<", ">=", "=="}
		var b strings.Builder
		deps := map[[2]int][]int{}
		for n := range names {
			for v := 1; v <= versions; v++ {
				fmt.Fprintf(&b, "n%d %d:", n, v)
				for range next() % 3 {
					d := next()
					deps[[2]int{n, v}] = append(deps[[2]int{n, v}], d)
					fmt.Fprintf(&b, " n%d%s%d |", d%names, ops[d/4%3], d/12%versions+1)
				}
				b.WriteString("\n")
			}
		}
		got := resolve(t, parse(t, b.String()), "n0|n1", "")
		holds := func(d, v int) bool {
			bound := d/12%versions + 1
			return []bool{v < bound, v >= bound, v == bound}[d/4%3]
		}
		possible := false
		for pick := range 256 { // version 0: not chosen
			v := [names]int{pick % 4, pick / 4 % 4, pick / 16 % 4, pick / 64}
			ok := v[0] > 0 && v[1] > 0
			for n := range names {
				for _, d := range deps[[2]int{n, v[n]}] {
					ok = ok && v[d%names] > 0 && holds(d, v[d%names])
				}
			}
			possible = possible || ok
		}
		if possible == strings.HasPrefix(got, "error") {
			t.Fatalf("possible: %v, but %s\n%s", possible, got, b.String())
		}
		if possible { // what was chosen must be a solution
			chosen := [names]int{}
			for _, part := range strings.Split(got, ", ") {
				var n, v int
				fmt.Sscanf(part, "n%d %d", &n, &v)
				chosen[n] = v
			}
			for n, v := range chosen {
				for _, d := range deps[[2]int{n, v}] {
					if c := chosen[d%names]; c == 0 || !holds(d, c) {
						t.Fatalf("%s is no solution of\n%s", got, b.String())
					}
				}
			}
		}
	})
}
