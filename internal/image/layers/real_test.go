package layers

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// realBase is the groups that a recipe would have for realImages.
var realBase = []spec.LayerGroup{
	group("system", "/"), group("python", "/ak-root/.venv"), group("web", "/web/dist"), group("app", "/authentik", "/lifecycle", "/manage.py"),
}

// realImages is a history as that of a real application: a Debian root of which a few libraries move every fourth version
// and the interpreter once, a hundred Python packages of which up to five move each time, some of them again and again,
// a web UI and an application that move always. perPackage is how many files a package has.
func realImages(versions, perPackage int) []files {
	r := rand.New(rand.NewPCG(7, 7))
	const site = "/ak-root/.venv/lib/python3.14/site-packages/"
	now := files{}
	lib := func(i, state int) {
		now[fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%d.so.%d", i, state)] = file{int64(i%40) * 40_000, state}
	}
	for i := range 300 {
		lib(i, 0)
		now[fmt.Sprintf("/usr/share/doc/lib%d/copyright", i)] = file{3000, 0}
	}
	for i := range 500 {
		now[fmt.Sprintf("/usr/lib/python3.14/m%d/x.py", i)] = file{60_000, 0}
	}
	version := map[int]int{}
	pkg := func(i, state int) {
		delete(now, fmt.Sprintf(site+"p%d-1.%d.dist-info/RECORD", i, version[i]))
		version[i] = state
		now[fmt.Sprintf(site+"p%d-1.%d.dist-info/RECORD", i, state)] = file{9000, state}
		for f := range perPackage {
			now[fmt.Sprintf(site+"p%d/s%d/m%d.py", i, f%7, f)] = file{int64(1+i%25) * 4_000_000 / int64(perPackage) / 10, state}
		}
	}
	for i := range 100 {
		pkg(i, 0)
	}
	app := func(state int) {
		for i := range 200 {
			if r.IntN(3) == 0 || state == 0 {
				now[fmt.Sprintf("/authentik/m%d/x.py", i)] = file{20_000, state}
			}
			now[fmt.Sprintf("/web/dist/chunk-%d-%d.js", i, state)] = file{60_000, state}
			delete(now, fmt.Sprintf("/web/dist/chunk-%d-%d.js", i, state-1))
		}
	}
	app(0)
	out := []files{now}
	for v := 1; v < versions; v++ {
		now = now.clone()
		app(v)
		for range 2 {
			pkg(r.IntN(100), v) // any
		}
		for range 3 {
			pkg(r.IntN(12)*8, v) // those that release often
		}
		if v%4 == 0 {
			i := r.IntN(300)
			for old := range v {
				delete(now, fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%d.so.%d", i, old))
			}
			lib(i, v)
		}
		if v == versions/2 {
			for i := range 500 {
				now[fmt.Sprintf("/usr/lib/python3.14/m%d/x.py", i)] = file{60_000, v}
			}
		}
		out = append(out, now)
	}
	return out
}

// TestRealHistory plans from the first half of a history and looks at what updates cost in the second, of which the plan
// knew nothing.
func TestRealHistory(t *testing.T) {
	st := newStore()
	h := history(t, st, realImages(16, 20)...)
	p := plan(t, st, Input{Base: realBase, History: h[:8]})
	learned, base, single := p.Forecast.Sums()
	if !p.Learned || learned*3 > base*2 {
		t.Errorf("over its own history the plan pulls %s, the recipe's groups %s", Bytes(learned), Bytes(base))
	}
	f, err := Foresee(t.Context(), st, realBase, p.Groups, h[7:])
	if err != nil {
		t.Fatal(err)
	}
	later, laterBase, laterSingle := f.Sums()
	t.Logf("known history: plan %s, groups %s, one layer %s; later: %s, %s, %s", Bytes(learned), Bytes(base), Bytes(single), Bytes(later), Bytes(laterBase), Bytes(laterSingle))
	if later*4 > laterBase*3 {
		t.Errorf("over updates that it did not know the plan pulls %s, the recipe's groups %s", Bytes(later), Bytes(laterBase))
	}
	t.Log("\n" + p.Forecast.String())
	for _, g := range p.Groups {
		t.Logf("%s: %d patterns", g.Name, len(g.Paths))
	}
}

// BenchmarkMake is 30 versions of 30,000 files. The metrics are what the plan saves over the history: pulled bytes in
// percent of the recipe's groups and of a single layer.
func BenchmarkMake(b *testing.B) {
	st := newStore()
	h := history(b, st, realImages(30, 290)...)
	n := 0
	for d, todo := (*tree.Directory)(nil), []tree.Tree{h[0].Root}; len(todo) > 0; {
		d, _ = st.Directory(b.Context(), todo[0])
		todo = todo[1:]
		n += len(d.Files)
		for _, sub := range d.Dirs {
			todo = append(todo, sub.Tree)
		}
	}
	var p *Plan
	for b.Loop() {
		p = plan(b, st, Input{Base: realBase, History: h})
	}
	learned, base, single := p.Forecast.Sums()
	b.ReportMetric(float64(n), "files/version")
	b.ReportMetric(100*float64(learned)/float64(base), "%of-groups")
	b.ReportMetric(100*float64(learned)/float64(single), "%of-one-layer")
}
