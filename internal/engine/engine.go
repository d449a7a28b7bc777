package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// NativeFunc is the code of a native step: a pure function of params and inputs.
type NativeFunc func(ctx context.Context, c NativeCall) (tree.Tree, error)

// NativeCall is what a native step gets.
type NativeCall struct {
	Params json.RawMessage
	Inputs []tree.Tree
	Labels []string    // what the inputs are called; for messages, never for the result
	Store  store.Store // to read inputs and write outputs; the action cache is not for native steps
}

// Plan asks questions and returns a step. It must be a pure function of its name, its parameters (part of the name)
// and the answers: the engine remembers which questions were asked and what the answers were, and runs it again only
// when one of them changes.
type Plan func(ctx context.Context, ask *Ask) (Step, error)

// Targets gives the plan of a target by name. It is called from many goroutines.
type Targets interface {
	// Plan gives the plan of a target, and an identity that changes whenever the plan's code or constants do.
	Plan(name string) (p Plan, identity string, err error)
}

// Sources gives a recipe's sources.
type Sources interface {
	// Tree gives the content of a source. An engine asks for each source once in its life.
	Tree(ctx context.Context, name string) (tree.Tree, error)
	// Info tells where the content of a source comes from. It may be asked several times, and should be cheap.
	Info(ctx context.Context, name string) (SourceInfo, error)
}

// SourceInfo is where the content of a source comes from. It is zero for a directory, which has no history that anybody
// vouches for.
type SourceInfo struct {
	Rev      string // as it was declared: a tag, a branch, a commit
	Revision string // the commit, in hex
	Time     int64  // of the committer, in seconds since 1970
	URL      string // of the repository, without credentials
}

// Fetcher downloads. What it returns has been verified and is in the store.
type Fetcher interface {
	Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error)
	FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error)
}

// Traces keeps the traces of plans, and what the last run of each target was, on this machine. Losing any of it costs
// time and nothing else.
type Traces interface {
	LoadTrace(key string) ([]byte, bool)
	SaveTrace(key string, b []byte) error
}

// Locks keeps two processes from running the same step at once. An engine takes a lock only for a step that it is about
// to run and whose inputs are there, so that no holder of a lock ever waits for another lock.
type Locks interface {
	// Lock waits until no other holder has key. unlock must be called once.
	Lock(ctx context.Context, key string) (unlock func(), err error)
}

// Limits bounds what goes on at the same time. Zero fields mean a default: one action a processor, 16 fetches, 2 x
// processors for disk work (native steps, sources).
type Limits struct {
	Actions int
	Fetches int
	Disk    int
}

// Config is what an Engine works with. All fields but Events, Limits, the names and the flags are needed.
type Config struct {
	Store    store.Store
	Executor executor.Executor
	Fetcher  Fetcher
	Sources  Sources
	Pins     pins.Pins
	Targets  Targets
	Natives  []NativeDef
	Traces   Traces
	Locks    Locks
	Platform platform.Platform
	Events   event.Sink
	Limits   Limits

	// Workspace keeps what is remembered of the targets of one workspace apart from those of another.
	Workspace string
	// Recipe is how the person who started hewn names the recipe ("examples/miniature"), for commands in hints.
	Recipe string
	// Advise says what to do about a command that failed, from its log and the root that it saw; may be nil.
	Advise func(ctx context.Context, root tree.Tree, log io.Reader) []string

	KeepGoing  bool // go on with whatever does not depend on a failed step
	KeepFailed bool // keep the root of a failed action
	Paranoid   bool // run cached native steps again and compare
}

// Engine evaluates steps. Its methods may be called from many goroutines; what one call has evaluated the others take
// from memory, so an Engine serves one run of hewn, in which sources do not change.
//
// There is no goroutine for a step. A step that can go on is a value in the queue of one of four pools: core (keys and
// look-ups), actions, fetches and disk. While it waits for anything (an input, a place in another pool, the lock of
// another process) it is in none of them.
type Engine struct {
	cfg     Config
	natives map[string]NativeDef
	own     map[string]bool // names of the natives of the algebra
	// thorough switches off the look-up of whole graphs by their description.
	thorough bool

	core, actions, fetches, disk, lockers *pool
	flights                               flights

	mu      sync.RWMutex
	memo    map[digest.Digest]*result // by ID of the step
	broken  map[digest.Digest]*result // the same of steps that failed; nobody takes these for results
	failed  map[store.Key]*result     // actions and native steps that failed: being pure, they would fail again
	plans   map[string]Step           // by target
	targets map[string][]string       // what each target's step refers to, and what its plan observes
}

// New checks cfg and gives an engine that has evaluated nothing.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil {
		return nil, errors.New("engine: no store")
	}
	e := &Engine{
		cfg:      cfg,
		thorough: cfg.Paranoid,
		natives:  map[string]NativeDef{},
		own:      map[string]bool{},
		memo:     map[digest.Digest]*result{},
		broken:   map[digest.Digest]*result{},
		failed:   map[store.Key]*result{},
		plans:    map[string]Step{},
		targets:  map[string][]string{},
	}
	for _, d := range algebraNatives() {
		e.own[d.String()] = true
	}
	for _, d := range append(algebraNatives(), cfg.Natives...) {
		if d.Name == "" || d.Version < 1 || d.Run == nil {
			return nil, fmt.Errorf("engine: native step %q has no name, no version or no code", d.String())
		}
		if _, twice := e.natives[d.String()]; twice {
			return nil, fmt.Errorf("engine: two native steps are called %s", d)
		}
		e.natives[d.String()] = d
	}
	procs := runtime.GOMAXPROCS(0)
	limit := func(n, otherwise int) *pool {
		if n <= 0 {
			n = otherwise
		}
		return &pool{limit: n}
	}
	e.core = limit(procs, 1)
	e.actions = limit(cfg.Limits.Actions, procs)
	e.fetches = limit(cfg.Limits.Fetches, 16)
	e.disk = limit(cfg.Limits.Disk, 2*procs)
	e.lockers = limit(64, 1)
	return e, nil
}

// Build gives the tree of s. What fails is told as one *diag.Problem, or as *Failures if several steps failed on their
// own (with Config.KeepGoing).
func (e *Engine) Build(ctx context.Context, s Step) (tree.Tree, error) {
	trees, err := e.BuildAll(ctx, s)
	if err != nil {
		return tree.Tree{}, err
	}
	return trees[0], nil
}

// BuildAll gives the trees of several steps, evaluated together. With Config.KeepGoing the trees of those that did not
// fail are there even if err is not nil; the others are zero.
func (e *Engine) BuildAll(ctx context.Context, steps ...Step) (trees []tree.Tree, err error) {
	r := newRun(ctx, e, false)
	defer r.close()
	tasks, err := r.all(steps)
	trees = make([]tree.Tree, len(steps))
	for i, t := range tasks {
		if t.result != nil && !t.failed {
			trees[i] = t.result.output
		}
	}
	r.remember()
	return trees, err
}

// Prefetch brings in everything that a build of steps may need from outside, so that it can be done offline
// afterwards: it evaluates the Static steps that they reach, through the plans of targets, and runs no action. What a
// cached result makes unnecessary is not brought in.
func (e *Engine) Prefetch(ctx context.Context, steps ...Step) error {
	r := newRun(ctx, e, true)
	defer r.close()
	_, err := r.all(steps)
	return err
}

// Plan gives the step that the plan of a target returns, by its trace if that still holds.
func (e *Engine) Plan(ctx context.Context, target string) (Step, error) {
	r := newRun(ctx, e, false)
	defer r.close()
	s, err := r.planOf(target)
	if err != nil {
		return Step{}, chain([]string{target}, "", err)
	}
	return s, nil
}

// remembered is the result of a step that was evaluated before in this process.
func (e *Engine) remembered(id digest.Digest) *result {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.memo[id]
}

// linkTarget notes what the step of a target, or one that its plan observes, refers to, and gives the cycle that this
// closes, if it closes one.
func (e *Engine) linkTarget(name string, s Step) error {
	refs := targetsOf(s.n)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.targets[name] = append(slices.Clip(e.targets[name]), refs...)
	cycle := e.pathTo(name, refs, map[string]bool{})
	if cycle == nil {
		return nil
	}
	return cycleProblem(append([]string{name}, cycle...))
}

// pathTo finds a way along known references from one of names to goal.
func (e *Engine) pathTo(goal string, names []string, seen map[string]bool) []string {
	for _, name := range names {
		if name == goal {
			return []string{name}
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if p := e.pathTo(goal, e.targets[name], seen); p != nil {
			return append([]string{name}, p...)
		}
	}
	return nil
}

// cycleProblem tells of a cycle in one way, whichever of its targets closed it: beginning with the first by name.
func cycleProblem(cycle []string) *diag.Problem {
	ring := cycle[:len(cycle)-1]
	first := 0
	for i, name := range ring {
		if name < ring[first] {
			first = i
		}
	}
	text := ""
	for i := range ring {
		text += ring[(first+i)%len(ring)] + " -> "
	}
	return diag.Inputf("target-cycle", "targets need each other: %s", text+ring[first]).
		Hint("let one of them depend on less than the whole of the other")
}

// targetsOf is the names of all targets that the description n refers to, each once, in the order in which they are met.
func targetsOf(n *node) []string {
	var names []string
	seen := map[*node]bool{}
	var visit func(*node)
	visit = func(n *node) {
		if !n.targets || seen[n] {
			return
		}
		seen[n] = true
		if n.Op == opTarget && !slices.Contains(names, n.Name) {
			names = append(names, n.Name)
		}
		for _, in := range n.in {
			visit(in)
		}
	}
	visit(n)
	return names
}
