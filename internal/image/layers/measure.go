package layers

import (
	"context"
	"fmt"
	"strings"

	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// measured is what groups, applied to a history, make of it.
type measured struct {
	sizes [][]int64   // by group and version, estimated
	sigs  []signature // by group
}

// measure applies groups to all versions, as a build does to one.
func measure(ctx context.Context, dirs *cachedDirs, groups []spec.LayerGroup, history []Version) (*measured, error) {
	c, err := newCover(groups)
	if err != nil {
		return nil, err
	}
	n := len(history)
	m := &measured{sizes: make([][]int64, len(groups)), sigs: make([]signature, len(groups))}
	for g := range m.sizes {
		m.sizes[g] = make([]int64, n)
	}
	if n == 0 {
		return m, nil
	}
	w := &walker{dirs: dirs, n: n, coarse: true, sizes: map[tree.Tree]int64{}}
	_, classes, err := w.visit(ctx, child{name: "/", runs: rootRuns(history), state: c.start}, 0)
	if err != nil {
		return nil, err
	}
	for _, cl := range classes {
		m.sigs[cl.group] |= cl.sig
		for v, s := range cl.sizes {
			m.sizes[cl.group][v] += s
		}
	}
	return m, nil
}

// cheaper says that plan cost less than base over the history, or the same.
func cheaper(ctx context.Context, dirs *cachedDirs, plan, base []spec.LayerGroup, history []Version) (bool, error) {
	p := newPrices(len(history) - 1)
	var sums [2]int64
	for i, groups := range [][]spec.LayerGroup{plan, base} {
		m, err := measure(ctx, dirs, groups, history)
		if err != nil {
			return false, err
		}
		for g := range groups {
			sums[i] += p.of(m.sigs[g], m.sizes[g])
		}
	}
	return sums[0] <= sums[1], nil
}

// Cost is what an update pulls, estimated.
type Cost struct {
	Pull    int64 // bytes of the layers that changed
	Total   int64 // bytes of all layers
	Changed int   // layers
	Layers  int
}

// Step is what one update of the history would have cost.
type Step struct {
	From, To string
	Plan     Cost // with the planned layers
	Base     Cost // with the recipe's
	Single   Cost // with one layer for everything
}

// Layer is one layer of a plan over the history.
type Layer struct {
	Name    string
	Size    int64 // in the last version, estimated
	Changes int   // transitions that touch it
}

// Forecast is what a plan would have cost over the history. Sizes are estimated from what kinds of files there are.
type Forecast struct {
	Layers []Layer // of the plan, those to which nothing belongs in any version left out
	Steps  []Step  // one for each transition
}

// Foresee gives what plan would have cost over a history, beside the recipe's groups and a single layer. Versions that
// are no longer complete in the store are left out.
func Foresee(ctx context.Context, dirs tree.Dirs, base, plan []spec.LayerGroup, history []Version) (*Forecast, error) {
	cached := newCachedDirs(dirs)
	have, _, err := complete(ctx, cached, history)
	if err != nil {
		return nil, err
	}
	return foresee(ctx, cached, base, plan, have)
}

func foresee(ctx context.Context, dirs *cachedDirs, base, plan []spec.LayerGroup, history []Version) (*Forecast, error) {
	single := oneLayer()
	if len(base) == 0 {
		base = single
	}
	var ms [3]*measured
	for i, groups := range [][]spec.LayerGroup{plan, base, single} {
		m, err := measure(ctx, dirs, groups, history)
		if err != nil {
			return nil, err
		}
		ms[i] = m
	}
	f := &Forecast{}
	n := len(history)
	for g, group := range plan {
		l := Layer{Name: group.Name}
		used := false
		for _, s := range ms[0].sizes[g] {
			l.Size, used = s, used || s > 0
		}
		ms[0].sigs[g].each(func(int) { l.Changes++ })
		if used {
			f.Layers = append(f.Layers, l)
		}
	}
	for t := 0; t+1 < n; t++ {
		f.Steps = append(f.Steps, Step{From: history[t].Label, To: history[t+1].Label,
			Plan: ms[0].cost(t), Base: ms[1].cost(t), Single: ms[2].cost(t)})
	}
	return f, nil
}

// oneLayer is an image that is not cut.
func oneLayer() []spec.LayerGroup { return []spec.LayerGroup{{Name: "image", Paths: []string{"/"}}} }

func (m *measured) cost(t int) Cost {
	var c Cost
	for g, sizes := range m.sizes {
		size := sizes[t+1]
		if size == 0 {
			continue
		}
		c.Layers++
		c.Total += size
		if m.sigs[g].has(t) {
			c.Changed++
			c.Pull += size
		}
	}
	return c
}

// Sums is what all updates of the history together would have pulled.
func (f *Forecast) Sums() (plan, base, single int64) {
	for _, s := range f.Steps {
		plan, base, single = plan+s.Plan.Pull, base+s.Base.Pull, single+s.Single.Pull
	}
	return plan, base, single
}

// Lines is the forecast for people: the layers, then one line for each update, then the sum.
func (f *Forecast) Lines() []string {
	var out []string
	width := 0
	for _, l := range f.Layers {
		width = max(width, len(l.Name))
	}
	for _, l := range f.Layers {
		changes := "no change"
		if len(f.Steps) > 0 && l.Changes > 0 {
			changes = fmt.Sprintf("changed in %d of %d updates", l.Changes, len(f.Steps))
		}
		if len(f.Steps) == 0 {
			changes = "nothing to compare with"
		}
		out = append(out, fmt.Sprintf("%-*s  %8s  %s", width, l.Name, "~"+Bytes(l.Size), changes))
	}
	for _, s := range f.Steps {
		out = append(out, fmt.Sprintf("%s -> %s would have pulled ~%s of ~%s (%d of %d layers); the recipe's layers ~%s, one layer ~%s",
			s.From, s.To, Bytes(s.Plan.Pull), Bytes(s.Plan.Total), s.Plan.Changed, s.Plan.Layers, Bytes(s.Base.Pull), Bytes(s.Single.Pull)))
	}
	if len(f.Steps) > 1 {
		plan, base, single := f.Sums()
		out = append(out, fmt.Sprintf("all %d updates: ~%s; the recipe's layers ~%s, one layer ~%s", len(f.Steps), Bytes(plan), Bytes(base), Bytes(single)))
	}
	return out
}

// String is Lines, each with a newline.
func (f *Forecast) String() string { return strings.Join(append(f.Lines(), ""), "\n") }
