// Package plantest runs plans of ecosystem packages in tests, on the real engine with a store in memory: sources and
// artifacts are given as text, and an executor of the test stands in for the sandbox.
package plantest

import (
	"context"
	"crypto/sha512"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// World is what the plans of one test see.
type World struct {
	Store    *memory.Store
	Sources  map[string]map[string]string // name of the source -> path -> content; "->x" is a link, "#!" makes executable
	Files    map[string][]byte            // what can be fetched, by the artifact's file name
	Git      map[string]map[string]string // what git has, by commit; written as in Sources
	Pins     map[string][]source.Artifact // answers, by the question's Set
	Lines    map[string][]string          // answers to what can only be observed, by the question's Set
	Asked    []pins.Question              // what was asked of Pins
	Fetched  []string                     // file names, in no order
	Ran      []executor.Request           // what the executor was asked to run
	Notes    []string                     // what plans noted
	Platform platform.Platform
	// Act gives what an action leaves behind, as path -> content; nil stands for an empty file at every output.
	Act func(r executor.Request) map[string]string

	t       testing.TB
	natives []engine.NativeDef
	mu      sync.Mutex
}

// New is an empty world for linux/amd64 whose engine knows natives.
func New(t testing.TB, natives []engine.NativeDef) *World {
	return &World{
		t: t, natives: natives, Store: memory.New(), Sources: map[string]map[string]string{}, Files: map[string][]byte{},
		Git: map[string]map[string]string{}, Pins: map[string][]source.Artifact{}, Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"},
	}
}

// Integrity is the SHA-512 of b in the form of npm's locks, for tests that write locks.
func Integrity(b []byte) source.Integrity {
	sum := sha512.Sum512(b)
	i, _ := source.NewIntegrity(source.SHA512, sum[:]) // of the right length
	return i
}

// Build evaluates p in a new engine and gives the tree of its step.
func (w *World) Build(p engine.Plan) (tree.Tree, error) {
	e, err := engine.New(engine.Config{
		Store: w.Store, Executor: fakeExecutor{w}, Fetcher: fetcher{w}, Sources: sources{w}, Pins: answers{w}, Targets: only{p},
		Natives: w.natives, Traces: noTraces{}, Locks: noLocks{}, Platform: w.Platform, Events: w.event,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Build(w.t.Context(), engine.Target("it"))
}

func (w *World) event(e event.Event) {
	if n, ok := e.(event.Note); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Notes = append(w.Notes, n.Text)
	}
}

// Text builds p and gives its tree as text.
func (w *World) Text(p engine.Plan) string {
	w.t.Helper()
	t, err := w.Build(p)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := tree.Text(w.t.Context(), w.Store, t)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// Paths lists the files, links and empty directories of a tree, one a line: `path`, `path*` if executable,
// `path -> target`, `path/`.
func (w *World) Paths(t tree.Tree) string {
	w.t.Helper()
	var b strings.Builder
	err := tree.Walk(w.t.Context(), w.Store, t, func(p string, e tree.Entry) error {
		switch {
		case e.Kind == tree.KindLink:
			fmt.Fprintf(&b, "%s -> %s\n", p, e.Target)
		case e.Kind == tree.KindFile && e.Executable:
			fmt.Fprintf(&b, "%s*\n", p)
		case e.Kind == tree.KindFile:
			fmt.Fprintf(&b, "%s\n", p)
		case e.Tree == tree.Empty:
			fmt.Fprintf(&b, "%s/\n", p)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

// Tree keeps files, written as in Sources.
func (w *World) Tree(files map[string]string) (tree.Tree, error) {
	ctx := w.t.Context()
	b := tree.NewBuilder()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if target, ok := strings.CutPrefix(files[p], "->"); ok {
			if err := b.Link(p, target); err != nil {
				return tree.Tree{}, err
			}
			continue
		}
		d, err := w.Store.Put(ctx, []byte(files[p]))
		if err == nil {
			err = b.File(p, d, strings.HasPrefix(files[p], "#!"))
		}
		if err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, w.Store)
}

type sources struct{ w *World }

func (s sources) Tree(_ context.Context, name string) (tree.Tree, error) {
	files, ok := s.w.Sources[name]
	if !ok {
		return tree.Tree{}, fmt.Errorf("there is no source %s", name)
	}
	return s.w.Tree(files)
}

func (s sources) Info(context.Context, string) (engine.SourceInfo, error) {
	return engine.SourceInfo{}, nil
}

type answers struct{ w *World }

func (a answers) Artifacts(_ context.Context, q pins.Question) ([]source.Artifact, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.w.Asked = append(a.w.Asked, q)
	as, ok := a.w.Pins[q.Set]
	if !ok {
		return nil, fmt.Errorf("%s is not pinned", q.Set)
	}
	return as, nil
}

func (a answers) Lines(_ context.Context, q pins.Question, _ func(context.Context) ([]string, error)) ([]string, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.w.Asked = append(a.w.Asked, q)
	lines, ok := a.w.Lines[q.Set]
	if !ok {
		return nil, fmt.Errorf("%s is not pinned", q.Set)
	}
	return lines, nil
}

type fetcher struct{ w *World }

func (f fetcher) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	b, ok := f.w.Files[a.File]
	if !ok {
		return digest.Digest{}, fmt.Errorf("there is no file %s to fetch", a.File)
	}
	f.w.Fetched = append(f.w.Fetched, a.File)
	return f.w.Store.Put(ctx, b)
}

func (f fetcher) FetchGit(_ context.Context, ref source.GitRef) (tree.Tree, error) {
	files, ok := f.w.Git[ref.Commit]
	if !ok {
		return tree.Tree{}, fmt.Errorf("no repository has commit %q", ref.Commit)
	}
	return f.w.Tree(files)
}

type fakeExecutor struct{ w *World }

func (x fakeExecutor) Execute(_ context.Context, r executor.Request) (*executor.Outcome, error) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	x.w.Ran = append(x.w.Ran, r)
	var files map[string]string
	if x.w.Act != nil {
		files = x.w.Act(r)
	}
	if files == nil {
		files = map[string]string{}
		for _, o := range r.Action.Outputs {
			files[o+"/empty"] = ""
		}
	}
	out, err := x.w.Tree(files)
	return &executor.Outcome{Output: out, Log: digest.Empty}, err
}

type only struct{ p engine.Plan }

func (o only) Plan(string) (engine.Plan, string, error) { return o.p, "1", nil }

type noTraces struct{}

func (noTraces) LoadTrace(string) ([]byte, bool) { return nil, false }
func (noTraces) SaveTrace(string, []byte) error  { return nil }

type noLocks struct{}

func (noLocks) Lock(context.Context, string) (func(), error) { return func() {}, nil }
