package layers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

const mb = 1 << 20

func TestMake(t *testing.T) {
	base := []spec.LayerGroup{group("system", "/"), group("python", "/venv"), group("app", "/app")}
	site := "/venv/lib/"
	for name, c := range map[string]struct {
		base   []spec.LayerGroup
		images []files
		budget int
		want   string
	}{
		"nothing to learn from": {base, nil, 0, "system: /\npython: /venv\napp: /app\n"},
		"one version":           {base, []files{{"/app/x": {mb, 0}}}, 0, "system: /\npython: /venv\napp: /app\n"},
		"the same version twice": {base, []files{{"/app/x": {mb, 0}}, {"/app/x": {mb, 0}}}, 0,
			"system: /\npython: /venv\napp: /app\n"},
		"the smallest neighbours are merged": {base, []files{{"/usr/x": {9 * mb, 0}, "/venv/x": {mb, 0}, "/app/x": {mb, 0}}}, 2,
			"system: /\npython+app: /venv /app\n"},
		"neighbours without a version": {base, nil, 1, "system+python+app: / /venv /app\n"},
		"what changes lies above what does not": {base, []files{
			{site + "big/x": {80 * mb, 0}, site + "small/x": {9 * mb, 0}, "/usr/x": {9 * mb, 0}, "/app/x": {mb, 0}},
			{site + "big/x": {80 * mb, 0}, site + "small/x": {9 * mb, 1}, "/usr/x": {9 * mb, 0}, "/app/x": {mb, 1}},
		}, 0, "system: /\npython: /venv\npython-often: /venv/lib/small\napp: /app\n"},
		"the least price over budget": {base, []files{
			{site + "big/x": {80 * mb, 0}, site + "small/x": {9 * mb, 0}, "/usr/x": {9 * mb, 0}, "/app/x": {mb, 0}},
			{site + "big/x": {80 * mb, 0}, site + "small/x": {9 * mb, 1}, "/usr/x": {9 * mb, 0}, "/app/x": {mb, 1}},
		}, 2, "python: /venv\nsystem+python+app: / /venv/lib/small\n"},
		"a budget of one": {base, []files{
			{site + "big/x": {80 * mb, 0}, "/app/x": {mb, 0}},
			{site + "big/x": {80 * mb, 0}, "/app/x": {mb, 1}},
		}, 1, "python+app: / /app /venv\n"},
		"versions in names are one unit": {base, []files{
			{site + "a-1.2.dist-info/M": {9 * mb, 0}, site + "z/x": {80 * mb, 0}, site + "y/x": {70 * mb, 0}},
			{site + "a-1.3.dist-info/M": {9 * mb, 1}, site + "z/x": {80 * mb, 0}, site + "y/x": {70 * mb, 0}},
			{site + "a-2.0rc1.dist-info/M": {9 * mb, 1}, site + "z/x": {80 * mb, 0}, site + "y/x": {70 * mb, 0}},
		}, 0, "python: /venv\npython-2: /venv/lib/y\npython-often: /venv/lib/a-[0-9]*.dist-info\nsystem: /\napp: /app\n"},
		"new names go where most changes": {base, []files{
			{site + "a/x": {80 * mb, 0}, site + "b/x": {80 * mb, 0}, site + "c/x": {9 * mb, 0}},
			{site + "a/x": {80 * mb, 0}, site + "b/x": {80 * mb, 0}, site + "c/x": {9 * mb, 1}, site + "new/x": {8 * mb, 0}},
		}, 0, "python: /venv/lib/a\npython-2: /venv/lib/b\npython-often: /venv\nsystem: /\napp: /app\n"},
		"names that are patterns": {base, []files{
			{site + "[a*/x": {30 * mb, 0}, site + "b/x": {80 * mb, 0}, site + `c\/x`: {80 * mb, 0}},
			{site + "[a*/x": {30 * mb, 1}, site + "b/x": {80 * mb, 0}, site + `c\/x`: {80 * mb, 0}},
		}, 0, "python: /venv\npython-2: /venv/lib/c\\\\\npython-often: /venv/lib/\\[a\\*\nsystem: /\napp: /app\n"},
		"the recipe's patterns stay": {[]spec.LayerGroup{group("system", "/"), group("python", "/usr/lib/python3*/site")}, []files{
			{"/usr/lib/python3.1/site/a/x": {30 * mb, 0}, "/usr/lib/python3.1/site/b/x": {30 * mb, 0}, "/usr/lib/x": {50 * mb, 0}},
			{"/usr/lib/python3.1/site/a/x": {30 * mb, 1}, "/usr/lib/python3.1/site/b/x": {30 * mb, 0}, "/usr/lib/x": {50 * mb, 0}},
		}, 0, "system: /\npython: /usr/lib/python3*/site\npython-often: /usr/lib/python3.1/site/a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStore()
			p := plan(t, st, Input{Base: c.base, History: history(t, st, c.images...), Budget: c.budget})
			if got := text(p.Groups); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestMakeNotes(t *testing.T) {
	st := newStore()
	h := history(t, st, files{"/a/x": {mb, 0}}, files{"/a/x": {mb, 1}}, files{"/a/x": {mb, 2}})
	p := plan(t, holes{st, h[1].Root}, Input{History: h})
	if !slices.Equal(p.From, []string{"v0", "v2"}) || !slices.Equal(p.Gone, []string{"v1"}) || p.Budget != DefaultBudget {
		t.Errorf("from %v, gone %v, budget %d", p.From, p.Gone, p.Budget)
	}
	if len(p.Forecast.Steps) != 1 || p.Forecast.Steps[0].From != "v0" || p.Forecast.Steps[0].To != "v2" {
		t.Errorf("forecast %+v", p.Forecast.Steps)
	}
	broken := errors.New("the disk is broken")
	if _, err := Make(t.Context(), failing{st, broken}, Input{History: h}); !errors.Is(err, broken) {
		t.Errorf("an error that is no hole in the store was taken for one: %v", err)
	}
	for name, in := range map[string]Input{
		"budget":      {Budget: 128},
		"below":       {Budget: -1},
		"pattern":     {Base: []spec.LayerGroup{group("a", "/[")}},
		"twice":       {Base: []spec.LayerGroup{group("a", "/"), group("a", "/x")}},
		"no paths":    {Base: []spec.LayerGroup{group("a")}},
		"not rooted":  {Base: []spec.LayerGroup{group("a", "usr")}},
		"empty names": {Base: []spec.LayerGroup{group("", "/usr")}},
	} {
		var p *diag.Problem
		if _, err := Make(t.Context(), st, in); !errors.As(err, &p) || p.Kind != diag.BadInput {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// holes is a store that has lost one directory.
type holes struct {
	tree.Dirs
	lost tree.Tree
}

func (h holes) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	if t == h.lost {
		return nil, fmt.Errorf("%s: %w", t, store.ErrNotFound)
	}
	return h.Dirs.Directory(ctx, t)
}

type failing struct {
	tree.Dirs
	err error
}

func (f failing) Directory(context.Context, tree.Tree) (*tree.Directory, error) { return nil, f.err }

var propertyBase = []spec.LayerGroup{group("system", "/"), group("a", "/a", "/d*"), group("b", "/b/p[0-4]*", "/nowhere"), group("none", "/n/o/n/e")}

// randomImages is a history of a small image, in which names come, go, change their version and their kind.
func randomImages(r *rand.Rand) []files {
	now := files{}
	name := func() string {
		tops := []string{"/a", "/b", "/c", "/d1", "/d2"}
		p := tops[r.IntN(len(tops))]
		for range 1 + r.IntN(3) {
			p += fmt.Sprintf("/p%d-%d.%d", r.IntN(4), r.IntN(3), r.IntN(2))
		}
		return p
	}
	for range 30 {
		now[name()+"/f"] = file{int64(r.IntN(40)) * 100_000, 0}
	}
	out := []files{now}
	for v := 1; v < 2+r.IntN(8); v++ {
		now = now.clone()
		for range r.IntN(6) {
			now[name()+"/f"] = file{int64(r.IntN(40)) * 100_000, v}
		}
		for p, f := range now {
			switch r.IntN(12) {
			case 0:
				delete(now, p)
			case 1:
				now[p] = file{f.size, v}
			}
		}
		out = append(out, now)
	}
	return out
}

// TestProperties: the budget is kept, nothing is said that a build would refuse, the plan never cost more over the
// history than the recipe's groups or one layer, its forecast is what the patterns do to each path, and it is the same
// each time.
func TestProperties(t *testing.T) {
	learned := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		images := randomImages(r)
		st := newStore()
		h := history(t, st, images...)
		budget := 1 + r.IntN(9)
		in := Input{Base: propertyBase, History: h, Budget: budget}
		p := plan(t, st, in)
		again := plan(t, st, in)
		if text(p.Groups) != text(again.Groups) {
			t.Fatalf("seed %d: two plans:\n%s\n%s", seed, text(p.Groups), text(again.Groups))
		}
		if n := len(p.Groups); n > budget || n < 1 {
			t.Fatalf("seed %d: %d layers for a budget of %d", seed, n, budget)
		}
		if p.Learned {
			learned++
		}
		img := spec.Image{Layers: p.Groups}
		if err := img.Validate(); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text(p.Groups))
		}
		checkForecast(t, seed, p, images)
		within, err := neighbours(t.Context(), newCachedDirs(st), in.Base, h, budget)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := cheaper(t.Context(), newCachedDirs(st), p.Groups, within, h); err != nil || !ok {
			t.Errorf("seed %d: the plan is dearer than the recipe's groups (%v)", seed, err)
		}
		for _, s := range p.Forecast.Steps {
			if s.Plan.Pull > s.Single.Pull {
				t.Errorf("seed %d: %s -> %s pulls %d, one layer %d", seed, s.From, s.To, s.Plan.Pull, s.Single.Pull)
			}
		}
	}
	if learned < 95 { // it is the patterns' fault if they do not do what was planned
		t.Errorf("only %d of 100 histories gave a plan that is cheaper than the recipe's groups", learned)
	}
}

// checkForecast compares which layers each update touches with what ownerOf says of each path.
func checkForecast(t *testing.T, seed uint64, p *Plan, images []files) {
	t.Helper()
	for i, s := range p.Forecast.Steps {
		was, is := images[i], images[i+1]
		touched, there := map[int]bool{}, map[int]bool{}
		for name, f := range is {
			g := ownerOf(name, p.Groups)
			there[g] = true
			if was[name] != f {
				touched[g] = true
			}
		}
		for name := range was {
			if _, ok := is[name]; !ok {
				touched[ownerOf(name, p.Groups)] = true
			}
		}
		n := 0
		for g := range touched {
			if there[g] {
				n++
			}
		}
		if s.Plan.Changed != n || s.Plan.Layers != len(there) {
			t.Errorf("seed %d, %s -> %s: forecast says %d of %d layers, the paths say %d of %d\n%s", seed, s.From, s.To,
				s.Plan.Changed, s.Plan.Layers, n, len(there), text(p.Groups))
		}
	}
}

// TestAgainstAllPartitions compares the distribution with the best there is, found by trying all of them.
func TestAgainstAllPartitions(t *testing.T) {
	const factor = 1.05
	worst := 1.0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, transitions := 2+r.IntN(6), 1+r.IntN(6)
		budget := 1 + r.IntN(n)
		p := newPrices(transitions)
		var classes []*class
		for i := range n {
			c := &class{group: i % 3, units: 1 + r.IntN(9), sig: signature(r.Uint64N(1 << transitions)), sizes: make([]int64, transitions+1)}
			size := int64(1 + r.IntN(1000))
			for v := range c.sizes {
				c.sizes[v] = size + int64(r.IntN(50))
			}
			classes = append(classes, c)
		}
		m := newModel(p, classes, 3)
		sum := func(layers []*layer) (s int64) {
			for _, l := range layers {
				s += m.price(l)
			}
			return s
		}
		best := int64(-1)
		partitions(m, classes, nil, budget, func(layers []*layer) {
			if s := sum(layers); best < 0 || s < best {
				best = s
			}
		})
		layers := m.distribute(classes, budget, 0)
		got := sum(layers)
		if len(layers) > budget {
			t.Fatalf("seed %d: %d layers for a budget of %d", seed, len(layers), budget)
		}
		worst = max(worst, float64(got)/float64(best))
	}
	t.Logf("at worst %.4f times the best", worst)
	if worst > factor {
		t.Errorf("at worst %.4f times the best, at most %.2f is promised", worst, factor)
	}
}

func partitions(m *model, classes []*class, layers []*layer, budget int, f func([]*layer)) {
	if len(classes) == 0 {
		f(layers)
		return
	}
	for i, l := range layers {
		with := slices.Clone(layers)
		with[i] = m.newLayer(append(slices.Clone(l.classes), classes[0])...)
		partitions(m, classes[1:], with, budget, f)
	}
	if len(layers) < budget {
		partitions(m, classes[1:], append(slices.Clone(layers), m.newLayer(classes[0])), budget, f)
	}
}

func TestForecastLines(t *testing.T) {
	st := newStore()
	h := history(t, st,
		files{"/a/x": {100 * mb, 0}, "/b/x": {10 * mb, 0}},
		files{"/a/x": {100 * mb, 0}, "/b/x": {10 * mb, 1}},
		files{"/a/x": {100 * mb, 0}, "/b/x": {10 * mb, 2}})
	p := plan(t, st, Input{History: h})
	want := `image          ~38 MB  no change
image-often   ~3.8 MB  changed in 2 of 2 updates
v0 -> v1 would have pulled ~3.8 MB of ~42 MB (1 of 2 layers); the recipe's layers ~42 MB, one layer ~42 MB
v1 -> v2 would have pulled ~3.8 MB of ~42 MB (1 of 2 layers); the recipe's layers ~42 MB, one layer ~42 MB
all 2 updates: ~7.6 MB; the recipe's layers ~83 MB, one layer ~83 MB
`
	if got := p.Forecast.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	f, err := Foresee(t.Context(), st, nil, p.Groups, h[:1])
	if err != nil || !strings.Contains(f.String(), "nothing to compare with") {
		t.Errorf("got %v, %v", f, err)
	}
}
