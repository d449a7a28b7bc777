package layers

import (
	"context"
	"errors"
	"slices"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// DefaultBudget is how many layers a plan has at most, where nobody says. It is far from what engines allow, and few
// enough to be looked at; what more layers save beyond it is little.
const DefaultBudget = 16

// Version is a past state of an image: the tree that it was made of.
type Version struct {
	Label string // "2026.2.0"
	Root  tree.Tree
}

// Input is what a plan is made from.
type Input struct {
	// Base is the groups of the recipe; what they keep apart is put together only where the budget asks for it. Without
	// any the whole image is one group.
	Base []spec.LayerGroup
	// History is the versions of the image, oldest first. The last 64 count.
	History []Version
	// Budget is how many layers there may be: 1 to spec.MaxLayers; 0 is DefaultBudget.
	Budget int
}

// Plan is how the image should be cut.
type Plan struct {
	Groups   []spec.LayerGroup
	Budget   int
	From     []string // labels of the versions that it was made from, oldest first
	Gone     []string // labels of those that are no longer complete in the store, and were left out
	Learned  bool     // the history had a say: false says that Groups are those of the recipe
	Forecast *Forecast
}

// Make plans the layers of an image. dirs is where the roots of the history are; what they have lost is left out.
func Make(ctx context.Context, dirs tree.Dirs, in Input) (*Plan, error) {
	if in.Budget == 0 {
		in.Budget = DefaultBudget
	}
	if in.Budget < 1 || in.Budget > spec.MaxLayers {
		return nil, diag.Inputf("bad-budget", "an image has 1 to %d layers, and the budget is %d", spec.MaxLayers, in.Budget)
	}
	if len(in.Base) == 0 {
		in.Base = oneLayer()
	}
	if err := checkGroups(in.Base); err != nil {
		return nil, err
	}
	cached := newCachedDirs(dirs)
	history, gone, err := complete(ctx, cached, in.History)
	if err != nil {
		return nil, err
	}
	base, err := neighbours(ctx, cached, in.Base, history, in.Budget)
	if err != nil {
		return nil, err
	}
	p := &Plan{Groups: base, Budget: in.Budget, Gone: gone}
	for _, v := range history {
		p.From = append(p.From, v.Label)
	}
	if len(history) >= 2 {
		learned, err := learn(ctx, cached, in, history)
		if err != nil {
			return nil, err
		}
		cheaper, err := cheaper(ctx, cached, learned, base, history)
		if err != nil {
			return nil, err
		}
		if cheaper {
			p.Groups, p.Learned = learned, true
		}
	}
	p.Forecast, err = foresee(ctx, cached, in.Base, p.Groups, history)
	return p, err
}

// complete gives the versions of which all directories are there, without those equal to the one before, and the labels
// of those that are not.
func complete(ctx context.Context, dirs *cachedDirs, history []Version) (have []Version, gone []string, err error) {
	for _, v := range history {
		switch err := dirs.readAll(ctx, v.Root); {
		case errors.Is(err, store.ErrNotFound):
			gone = append(gone, v.Label)
		case err != nil:
			return nil, nil, err
		case len(have) > 0 && have[len(have)-1].Root == v.Root:
			have[len(have)-1].Label = v.Label
		default:
			have = append(have, v)
		}
	}
	if len(have) > maxVersions {
		have = have[len(have)-maxVersions:]
	}
	return have, gone, nil
}

// neighbours merges groups next to each other until there are not more than budget: those two that are smallest
// together. It keeps the meaning of the patterns, which depends on the order of groups.
func neighbours(ctx context.Context, dirs *cachedDirs, base []spec.LayerGroup, history []Version, budget int) ([]spec.LayerGroup, error) {
	groups := make([]spec.LayerGroup, 0, len(base))
	for _, g := range base {
		groups = append(groups, spec.LayerGroup{Name: g.Name, Paths: slices.Clone(g.Paths)})
	}
	if len(groups) <= budget {
		return groups, nil
	}
	sizes := make([]int64, len(groups))
	if len(history) > 0 {
		m, err := measure(ctx, dirs, base, history[len(history)-1:])
		if err != nil {
			return nil, err
		}
		for g := range sizes {
			sizes[g] = m.sizes[g][0]
		}
	}
	names := make([][]string, len(groups))
	for i, g := range groups {
		names[i] = []string{g.Name}
	}
	for len(groups) > budget {
		at := 0
		for i := range len(groups) - 1 {
			if sizes[i]+sizes[i+1] < sizes[at]+sizes[at+1] {
				at = i
			}
		}
		groups[at].Paths = append(groups[at].Paths, groups[at+1].Paths...)
		names[at] = append(names[at], names[at+1]...)
		sizes[at] += sizes[at+1]
		groups, names, sizes = slices.Delete(groups, at+1, at+2), slices.Delete(names, at+1, at+2), slices.Delete(sizes, at+1, at+2)
	}
	taken := map[string]bool{}
	for i := range groups {
		groups[i].Name = unused(joinNames(names[i]), taken)
	}
	return groups, nil
}

// learn makes the plan of the history; see the package's comment.
func learn(ctx context.Context, dirs *cachedDirs, in Input, history []Version) ([]spec.LayerGroup, error) {
	c, err := newCover(in.Base)
	if err != nil {
		return nil, err
	}
	w := &walker{dirs: dirs, n: len(history), prices: newPrices(len(history) - 1), sizes: map[tree.Tree]int64{}}
	largest := int64(0)
	for _, v := range history {
		size, err := w.size(ctx, tree.Entry{Kind: tree.KindDir, Tree: v.Root})
		if err != nil {
			return nil, err
		}
		largest = max(largest, size)
	}
	w.unit = max(unitLeast, largest/unitShare)
	w.slack = min(max(slackLeast, largest/slackShare), sizeMost) * w.prices.total
	root, classes, err := w.visit(ctx, child{name: "/", runs: rootRuns(history), state: c.start}, 0)
	if err != nil {
		return nil, err
	}
	layers := newModel(w.prices, classes, len(in.Base)).distribute(classes, in.Budget, w.slack)
	return write(in.Base, c, root, layers, in.Budget), nil
}

// rootRuns is the history of `/`.
func rootRuns(history []Version) []run {
	var runs []run
	for i, v := range history {
		e := tree.Entry{Kind: tree.KindDir, Tree: v.Root}
		if n := len(runs); n > 0 && runs[n-1].e == e {
			runs[n-1].to = i + 1
		} else {
			runs = append(runs, run{i, i + 1, e})
		}
	}
	return runs
}
