package engine

import (
	"context"
	"iter"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// State says what became of a step.
type State int

// The states of a step.
const (
	Unneeded State = iota // its result was not needed: something after it was in the cache, or something before it failed
	Known                 // a tree, a source or a target: there is no cache for it
	Cached                // its result came from the cache
	Ran                   // it was run
	Failed                // it was run, or its key was to be made, and that failed
)

// String is one word for people.
func (s State) String() string { return [...]string{"unneeded", "known", "cached", "ran", "failed"}[s] }

// StepInfo is what is known of one step after it was evaluated: a node of the graph of what ran.
type StepInfo struct {
	Label   string
	Target  string // the target whose plan returned the step; empty for steps that were asked for themselves
	Kind    event.StepKind
	State   State
	Key     store.Key // zero where the step has none, or it was not made
	Output  tree.Tree // zero if it failed or was not needed
	Log     digest.Digest
	Seconds float64 // that it took to run, now or when the cache got it
	Err     error
	Inputs  []int // places in the graph
	desc    *description
}

// Dump is the text of everything that is in the step's key; empty if it has none.
func (s StepInfo) Dump() string { return s.desc.dump() }

func (d *description) dump() string {
	switch {
	case d == nil:
		return ""
	case d.native != nil:
		return d.native.Dump()
	}
	return d.request.Action.Dump()
}

// Graph is everything that steps depend on, through targets, each step once and after all its inputs. It tells what
// this engine has done; it evaluates nothing.
func (e *Engine) Graph(steps ...Step) []StepInfo {
	g := grapher{e: e, index: map[digest.Digest]int{}}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, s := range steps {
		g.visit(s.n, "")
	}
	return g.infos
}

type grapher struct {
	e     *Engine
	index map[digest.Digest]int
	infos []StepInfo
}

// visit adds n and what it depends on, and gives its place.
func (g *grapher) visit(n *node, target string) int {
	if i, ok := g.index[n.id]; ok {
		return i
	}
	info := StepInfo{Label: n.Label, Target: target, Kind: n.kind()}
	for _, in := range n.in {
		info.Inputs = append(info.Inputs, g.visit(in, target))
	}
	if n.Op == opTarget {
		if s, ok := g.e.plans[n.Name]; ok {
			info.Inputs = append(info.Inputs, g.visit(s.n, n.Name))
		}
	}
	res := g.e.memo[n.id]
	if res == nil {
		res = g.e.broken[n.id]
	}
	switch {
	case n.Op == opTree:
		info.State, info.Output = Known, n.Tree
	case res != nil:
		info.State, info.Output, info.Log, info.Seconds, info.Err = res.state, res.output, res.log, res.seconds, res.err
		if info.desc = res.description; info.desc != nil {
			info.Key = info.desc.key
		}
	}
	g.index[n.id] = len(g.infos)
	g.infos = append(g.infos, info)
	return len(g.infos) - 1
}

// Stats counts the steps that have keys: actions, native steps and fetches.
type Stats struct {
	Total  int `json:"total"`
	Run    int `json:"run"`    // including those that failed
	Cached int `json:"cached"` // in the cache, or not needed because of something that was
}

// Stats counts what steps depend on, through targets, each step once.
func (e *Engine) Stats(steps ...Step) Stats {
	var s Stats
	for _, info := range e.Graph(steps...) {
		switch {
		case info.Kind == event.KindSource || info.Kind == event.KindPlan:
			continue
		case info.State == Ran || info.State == Failed:
			s.Run++
		default:
			s.Cached++
		}
		s.Total++
	}
	return s
}

// ActionStep is one action of a graph with all that it takes to run it again.
type ActionStep struct {
	Target  string
	Label   string
	Key     store.Key
	Request executor.Request // its Layers, merged, equal Action.Root
	Output  tree.Tree
}

// AllActions builds steps and gives every action that they depend on, inputs first. An error ends it. It looks at every
// step, also where the result of many is found at once.
func (e *Engine) AllActions(ctx context.Context, steps ...Step) iter.Seq2[ActionStep, error] {
	return func(yield func(ActionStep, error) bool) {
		e, err := New(e.cfg)
		if err == nil {
			e.thorough = true
			_, err = e.BuildAll(ctx, steps...)
		}
		if err != nil {
			yield(ActionStep{}, err)
			return
		}
		for _, s := range e.Graph(steps...) {
			if s.desc == nil || s.desc.request == nil {
				continue
			}
			if !yield(ActionStep{s.Target, s.Label, s.Key, *s.desc.request, s.Output}, nil) {
				return
			}
		}
	}
}
