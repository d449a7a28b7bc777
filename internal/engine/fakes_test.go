package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

var (
	testPlatform = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}
	emptyTree    = tree.Empty
)

// world is everything that engines of one test share: what would be on disk and outside. A test makes a new engine for
// each run of hewn that it plays.
type world struct {
	t         testing.TB
	store     store.Store
	traces    *traces
	locks     engine.Locks
	executor  *fakeExecutor
	fetcher   *fakeFetcher
	sources   map[string]map[string]string
	infos     map[string]engine.SourceInfo
	pins      map[string][]source.Artifact
	lines     map[string][]string // pinned text; what is not there is observed if updating
	updating  bool
	plans     map[string]engine.Plan
	identity  string
	natives   []engine.NativeDef
	natively  counter
	planned   counter
	informed  counter
	events    events
	keepGoing bool
	paranoid  bool
	limits    engine.Limits
	advise    func(context.Context, tree.Tree, io.Reader) []string
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, store: memory.New(), traces: &traces{m: map[string][]byte{}}, locks: &keyLocks{},
		sources: map[string]map[string]string{}, infos: map[string]engine.SourceInfo{}, pins: map[string][]source.Artifact{}, lines: map[string][]string{}, plans: map[string]engine.Plan{}, identity: "1",
	}
	w.executor = &fakeExecutor{store: w.store}
	w.fetcher = &fakeFetcher{store: w.store, content: map[string]string{}}
	w.natives = []engine.NativeDef{w.upper(1)}
	return w
}

// engine is a new process.
func (w *world) engine() *engine.Engine {
	w.t.Helper()
	e, err := engine.New(engine.Config{
		Store: w.store, Executor: w.executor, Fetcher: w.fetcher, Sources: worldSources{w}, Pins: worldPins{w}, Targets: worldTargets{w},
		Natives: w.natives, Traces: w.traces, Locks: w.locks, Platform: testPlatform,
		Events: w.events.add, Limits: w.limits, Workspace: "/w", Recipe: "app", KeepGoing: w.keepGoing, Paranoid: w.paranoid, Advise: w.advise,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// build builds s in a new process and gives its files as text.
func (w *world) build(s engine.Step) string {
	w.t.Helper()
	t, err := w.engine().Build(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.text(t)
}

func (w *world) fail(s engine.Step) error {
	w.t.Helper()
	t, err := w.engine().Build(w.t.Context(), s)
	if err == nil {
		w.t.Fatalf("built %s, want an error", w.text(t))
	}
	return err
}

// tree keeps files given as path -> content; a content that begins with "->" is a link.
func (w *world) tree(files map[string]string) tree.Tree {
	w.t.Helper()
	t, err := makeTree(w.t.Context(), w.store, files)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func makeTree(ctx context.Context, st store.Store, files map[string]string) (tree.Tree, error) {
	b := tree.NewBuilder()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		var err error
		if target, ok := strings.CutPrefix(files[p], "->"); ok {
			err = b.Link(p, target)
		} else {
			var d digest.Digest
			if d, err = st.Put(ctx, []byte(files[p])); err == nil {
				err = b.File(p, d, false)
			}
		}
		if err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, st)
}

// text is the files of a tree on one line.
func (w *world) text(t tree.Tree) string {
	w.t.Helper()
	s, err := textOf(w.t.Context(), w.store, t)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func textOf(ctx context.Context, st store.Store, t tree.Tree) (string, error) {
	var parts []string
	err := tree.Walk(ctx, st, t, func(p string, e tree.Entry) error {
		switch e.Kind {
		case tree.KindFile:
			b, err := store.ReadBlob(ctx, st, e.Digest, 1<<20)
			if err != nil {
				return err
			}
			parts = append(parts, p+"="+string(b))
		case tree.KindLink:
			parts = append(parts, p+"->"+e.Target)
		}
		return nil
	})
	return strings.Join(parts, " "), err
}

// artifact is one that the fetcher has with this content.
func (w *world) artifact(name, content string) source.Artifact {
	w.fetcher.mu.Lock()
	w.fetcher.content[name] = content
	w.fetcher.mu.Unlock()
	sum := digest.Of([]byte(content)).Hash()
	i, err := source.NewIntegrity(source.SHA256, sum[:])
	if err != nil {
		w.t.Fatal(err)
	}
	return source.Artifact{Ecosystem: source.PyPI, Name: name, Version: "1.0", File: name + "-1.0.whl", Integrity: i}
}

// upper is a native step that writes every input's text, in upper case, into the file that params name.
func (w *world) upper(version int) engine.NativeDef {
	return engine.NativeDef{Name: "upper", Version: version, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
		var name string
		for i, in := range c.Inputs {
			s, err := textOf(ctx, c.Store, in)
			if err != nil {
				return tree.Tree{}, err
			}
			name += strings.ToUpper(s) + map[bool]string{true: ";"}[i < len(c.Inputs)-1]
		}
		w.natively.add(string(c.Params))
		return makeTree(ctx, c.Store, map[string]string{strings.Trim(string(c.Params), `"`): name})
	}}
}

func (w *world) upperStep(name string, in ...engine.Step) engine.Step {
	return engine.Native(name, w.natives[0], name, in...)
}

// target declares a target whose plan is f.
func (w *world) target(name string, f engine.Plan) engine.Step {
	w.plans[name] = func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		w.planned.add(name)
		return f(ctx, ask)
	}
	return engine.Target(name)
}

// returns is a plan that asks nothing.
func returns(s engine.Step) engine.Plan {
	return func(context.Context, *engine.Ask) (engine.Step, error) { return s, nil }
}

type worldSources struct{ w *world }

func (s worldSources) Tree(ctx context.Context, name string) (tree.Tree, error) {
	files, ok := s.w.sources[name]
	if !ok {
		return tree.Tree{}, fmt.Errorf("there is no source %s", name)
	}
	return makeTree(ctx, s.w.store, files)
}

func (s worldSources) Info(_ context.Context, name string) (engine.SourceInfo, error) {
	s.w.informed.add(name)
	info, ok := s.w.infos[name]
	if !ok {
		return engine.SourceInfo{}, fmt.Errorf("nobody knows where %s comes from", name)
	}
	return info, nil
}

type worldPins struct{ w *world }

func (p worldPins) Artifacts(_ context.Context, q pins.Question) ([]source.Artifact, error) {
	a, ok := p.w.pins[q.Set]
	if !ok {
		return nil, fmt.Errorf("%s is not pinned", q.Set)
	}
	return a, nil
}

func (p worldPins) Lines(ctx context.Context, q pins.Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	l, ok := p.w.lines[q.Set]
	if ok || !p.w.updating {
		if !ok {
			return nil, fmt.Errorf("%s is not pinned", q.Set)
		}
		return l, nil
	}
	l, err := observe(ctx)
	if err == nil {
		p.w.lines[q.Set] = l
	}
	return l, err
}

type worldTargets struct{ w *world }

func (p worldTargets) Plan(name string) (engine.Plan, string, error) {
	plan, ok := p.w.plans[name]
	if !ok {
		return nil, "", fmt.Errorf("there is no target %s", name)
	}
	return plan, p.w.identity, nil
}

// counter counts what happened by name.
type counter struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]int{}
	}
	c.m[name]++
}

// take gives what was counted since the last take, as sorted text: "a b*2".
func (c *counter) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(c.m)) {
		s := k
		if c.m[k] > 1 {
			s += "*" + strconv.Itoa(c.m[k])
		}
		out = append(out, s)
	}
	c.m = nil
	return strings.Join(out, " ")
}

// fakeExecutor knows some commands, given as arguments:
//
//	write TEXT    writes TEXT into every output
//	copy          writes the text of the whole root into every output
//	roots         writes the text of the root and of the further roots into every output
//	fail CODE LOG fails with a log
//	forget        makes no output
//	wait          waits until the context is over
type fakeExecutor struct {
	store   store.Store
	ran     counter
	mu      sync.Mutex
	now     int
	most    int
	delay   time.Duration
	outcome func(r executor.Request) *executor.Outcome
}

func (x *fakeExecutor) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	x.ran.add(r.Label)
	x.mu.Lock()
	x.now++
	x.most = max(x.most, x.now)
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		x.now--
		x.mu.Unlock()
	}()
	time.Sleep(x.delay)
	if x.outcome != nil {
		if o := x.outcome(r); o != nil {
			return o, nil
		}
	}
	args := r.Action.Args
	text := ""
	switch args[0] {
	case "write":
		text = args[1]
	case "copy":
		s, err := textOf(ctx, x.store, r.Action.Root)
		if err != nil {
			return nil, err
		}
		text = s
	case "roots":
		s, err := rootsText(ctx, x.store, r)
		if err != nil {
			return nil, err
		}
		text = s
	case "fail":
		code, _ := strconv.Atoi(args[1])
		log, err := x.store.Put(ctx, []byte(args[2]))
		if err != nil {
			return nil, err
		}
		_, _ = r.Log.Write([]byte(args[2]))
		return &executor.Outcome{ExitCode: code, Log: log}, nil
	case "forget":
		return &executor.Outcome{Missing: r.Action.Outputs}, nil
	case "wait":
		<-ctx.Done()
		return &executor.Outcome{ExitCode: 137, Killed: "cancelled"}, nil
	case "panic":
		panic("executor broken")
	default:
		return nil, errors.New("unknown command " + args[0])
	}
	files := map[string]string{}
	for _, o := range r.Action.Outputs {
		files[o] = text
	}
	out, err := makeTree(ctx, x.store, files)
	if err != nil {
		return nil, err
	}
	log, err := x.store.Put(ctx, []byte("log of "+r.Label+"\n"))
	return &executor.Outcome{Output: out, Log: log}, err
}

type fakeFetcher struct {
	store   store.Store
	fetched counter
	mu      sync.Mutex
	content map[string]string
	delay   time.Duration
	offline bool
	now     int
	most    int
}

func (f *fakeFetcher) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	if f.offline {
		return digest.Digest{}, errors.New("offline")
	}
	f.fetched.add(a.Name)
	f.mu.Lock()
	c, ok := f.content[a.Name]
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	time.Sleep(f.delay)
	f.mu.Lock()
	f.now--
	f.mu.Unlock()
	if !ok {
		return digest.Digest{}, fmt.Errorf("no origin has %s", a)
	}
	return f.store.Put(ctx, []byte(c))
}

func (f *fakeFetcher) FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error) {
	if f.offline {
		return tree.Tree{}, errors.New("offline")
	}
	f.fetched.add("git:" + ref.Repo)
	return makeTree(ctx, f.store, map[string]string{"commit": ref.Commit})
}

type traces struct {
	mu     sync.Mutex
	m      map[string][]byte
	saved  int
	loaded int
}

func (t *traces) LoadTrace(key string) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loaded++
	b, ok := t.m[key]
	return b, ok
}

func (t *traces) SaveTrace(key string, b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved++
	t.m[key] = b
	return nil
}

// keyLocks is locks of one process.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (l *keyLocks) take(key string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	if c, ok := l.held[key]; ok {
		return c
	}
	l.held[key] = make(chan struct{})
	return nil
}

func (l *keyLocks) free(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[key])
	delete(l.held, key)
}

func (l *keyLocks) Lock(ctx context.Context, key string) (func(), error) {
	for {
		c := l.take(key)
		if c == nil {
			return func() { l.free(key) }, nil
		}
		select {
		case <-c:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

type events struct {
	mu  sync.Mutex
	all []event.Event
	off bool
}

func (e *events) add(v event.Event) {
	if l, ok := v.(event.StepLog); ok { // must not be kept as it is
		l.Text = slices.Clone(l.Text)
		v = l
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.off {
		e.all = append(e.all, v)
	}
}

func (e *events) take() []event.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return all
}
