package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// run is one evaluation of some steps: a graph of tasks, one for each different step.
//
// A task advances when everything that it waits for is done, and each advance ends in one of three ways: the task is
// done; it waits for more tasks; or its work is in the queue of a pool. run.mu guards the links between tasks (users,
// waits) and done; all other fields of a task belong to whoever advances it, which is one goroutine at a time.
type run struct {
	e        *Engine
	ctx      context.Context
	cancel   context.CancelCauseFunc
	outer    context.Context // the caller's
	prefetch bool

	mu    sync.Mutex
	tasks map[digest.Digest]*task
	fresh bool // some step was run or failed
}

// task is one step in a run.
type task struct {
	n      *node
	target string  // the target that wanted the step first; its plan, for a target
	in     []*task // beside n.in; nil where the input has not been needed yet
	bases  []*task // of a step that is looked up by its description: its sources
	plan   *task   // of a target: what its plan returned

	users []*task // what waits for this task
	waits int     // for how many tasks this one waits
	done  bool
	ended chan struct{} // closed at the end, if somebody waits from outside the graph

	asking  bool      // is to be looked up by its description first; the inputs are not wanted yet
	memo    store.Key // of its description, under which the result is kept besides; zero for none
	desc    *description
	suspect *result // a cached result that Config.Paranoid wants compared
	result  *result // also of a step that failed by running
	err     error   // the step itself failed
	failed  bool    // the step or one that it needs failed
	unknown bool    // in a prefetch: hangs on an action that was not run
}

// description is what a step's key is made from.
type description struct {
	key     store.Key
	native  *action.Native    // of a fetch, a git or a native step
	request *executor.Request // of an action
}

// result is what came of a step.
type result struct {
	*description // nil for trees, sources and targets
	state        State
	output       tree.Tree
	log          digest.Digest
	seconds      float64
	exitCode     int
	kept         string // of a failed action: where its root is
	err          error  // of a failed step
}

// errStopped is why a run is cancelled in which a step failed.
var errStopped = errors.New("another step failed")

func newRun(ctx context.Context, e *Engine, prefetch bool) *run {
	inner, cancel := context.WithCancelCause(ctx)
	return &run{e: e, ctx: inner, cancel: cancel, outer: ctx, prefetch: prefetch, tasks: map[digest.Digest]*task{}}
}

func (r *run) close() { r.cancel(errors.New("engine: the run is over")) }

// all evaluates steps and waits for all of them.
func (r *run) all(steps []Step) ([]*task, error) {
	for _, s := range steps {
		if s.IsZero() {
			return nil, errors.New("engine: asked for a step that was never made")
		}
	}
	tasks := make([]*task, len(steps))
	r.mu.Lock()
	for i, s := range steps {
		tasks[i] = r.want(s.n, "", true)
	}
	r.mu.Unlock()
	for _, t := range tasks {
		r.wait(r.outer, t)
	}
	return tasks, r.verdict(tasks)
}

// wait returns when t is done. It gives up early only if ctx is over and is not the one that the run itself hangs on:
// then the run ends its tasks soon, and they must not outlive it.
func (r *run) wait(ctx context.Context, t *task) {
	r.mu.Lock()
	if t.done {
		r.mu.Unlock()
		return
	}
	if t.ended == nil {
		t.ended = make(chan struct{})
	}
	ended := t.ended
	r.mu.Unlock()
	if ctx == r.outer {
		<-ended
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// want gives the task of n and starts it if it is new. top says that n is a whole of its own: the step of a target, what
// a plan asks about, what the caller wants. Such a step is first looked up by its description, together with the trees
// of its sources, and so is what is fixed below one that is not; between these, steps have their keys only. r.mu is held.
func (r *run) want(n *node, target string, top bool) *task {
	if t := r.tasks[n.id]; t != nil {
		return t
	}
	t := &task{n: n, target: target}
	r.tasks[n.id] = t
	if n.Op == opTree {
		t.done, t.result = true, &result{output: n.Tree, state: Known}
		return t
	}
	if res := r.e.remembered(n.id); res != nil {
		t.done, t.result = true, res
		return t
	}
	if top && !n.targets && len(n.in) > 0 && !r.e.thorough {
		t.asking = true
		for _, s := range n.sources {
			u := r.want(s, target, false)
			t.bases = append(t.bases, u)
			r.await(t, u)
		}
	} else {
		r.expand(t)
	}
	if t.waits == 0 {
		r.push(t)
	}
	return t
}

// expand makes t wait for the inputs that its key needs. r.mu is held.
func (r *run) expand(t *task) {
	t.in = make([]*task, len(t.n.in))
	for i, in := range t.n.in {
		if !lazy(t.n, in) {
			r.need(t, i)
		}
	}
}

// lazy says that n's key does not need the tree of in. What is downloaded has its identity already.
func lazy(n, in *node) bool {
	return n.Op == opNative && (in.Op == opFetch || in.Op == opGit)
}

// need makes t wait for its input i. r.mu is held.
func (r *run) need(t *task, i int) {
	t.in[i] = r.want(t.n.in[i], t.target, !t.n.fixed() && t.n.in[i].fixed())
	r.await(t, t.in[i])
}

// await makes t wait for u. r.mu is held.
func (r *run) await(t, u *task) {
	if !u.done {
		u.users = append(u.users, t)
		t.waits++
	}
}

// needAll makes t wait for the inputs that were not needed so far, and says whether there is one to wait for.
func (r *run) needAll(t *task) (waiting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range t.in {
		if t.in[i] == nil {
			r.need(t, i)
		}
	}
	return t.waits > 0
}

func (r *run) push(t *task) { r.e.core.run(func() { r.advance(t) }) }

// advance takes t as far as it goes without waiting. Everything that t waited for is done.
func (r *run) advance(t *task) {
	if r.ctx.Err() != nil {
		r.finish(t, nil, context.Cause(r.ctx))
		return
	}
	if t.asking && !r.recall(t) {
		return
	}
	unknown := false
	look := func(u *task) {
		t.failed = t.failed || u != nil && u.failed
		unknown = unknown || u != nil && u.unknown
	}
	look(t.plan)
	for _, u := range t.in {
		look(u)
	}
	switch {
	case t.failed:
		r.finish(t, nil, nil)
	case unknown && r.needAll(t):
	case unknown:
		t.unknown = true
		r.finish(t, nil, nil)
	case t.n.Op == opSource:
		r.start(t, "source "+t.n.Name, r.e.disk)
	case t.n.Op == opTarget && t.plan == nil:
		go r.planTarget(t)
	case t.n.Op == opTarget:
		r.finish(t, &result{output: t.plan.result.output, state: Known}, nil)
	default:
		r.lookUp(t)
	}
}

// recall looks for the result of t by its description, so that nothing that t depends on need be looked at. If there is
// none, t goes on as usual; goOn is false if t is done or waits.
func (r *run) recall(t *task) (goOn bool) {
	t.asking = false
	m := action.Memo{Step: t.n.id, Platform: r.e.cfg.Platform}
	for i, u := range t.bases {
		if u.failed {
			t.failed = true
			r.finish(t, nil, nil)
			return false
		}
		m.Sources = append(m.Sources, t.n.sources[i].Name+" "+u.result.output.String())
	}
	t.memo = m.Key()
	res, err := r.e.cfg.Store.Result(r.ctx, t.memo)
	switch {
	case err == nil:
		t.memo = store.Key{}
		r.finish(t, &result{state: Cached, output: res.Output, log: res.Log, seconds: res.Seconds}, nil)
		return false
	case !errors.Is(err, store.ErrNotFound):
		r.finish(t, nil, fmt.Errorf("cannot look into the cache: %w", err))
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expand(t)
	return t.waits == 0
}

// lookUp makes t's key and takes the result from the cache, or has the step run.
func (r *run) lookUp(t *task) {
	if t.desc == nil {
		d, err := r.describe(t)
		if err != nil {
			r.finish(t, nil, err)
			return
		}
		t.desc = d
	}
	r.e.mu.RLock()
	failed := r.e.failed[t.desc.key]
	r.e.mu.RUnlock()
	if failed != nil {
		r.finish(t, failed, failed.err)
		return
	}
	res, err := r.cached(t)
	if err != nil {
		r.finish(t, nil, err)
		return
	}
	pool := r.e.disk
	switch {
	case res != nil && !(r.e.cfg.Paranoid && t.n.Op == opNative && !r.e.own[t.n.Name]):
		r.finish(t, res, nil)
		return
	case res != nil:
		t.suspect = res
	case t.n.Op == opRun && r.prefetch:
		t.unknown = true
		r.finish(t, nil, nil)
		return
	}
	switch t.n.Op {
	case opRun:
		pool = r.e.actions
	case opFetch, opGit:
		pool = r.e.fetches
	}
	if !r.needAll(t) {
		r.start(t, t.desc.key.Digest().Hex(), pool)
	}
}

// cached is the result of t's key in the action cache; nil if there is none.
func (r *run) cached(t *task) (*result, error) {
	res, err := r.e.cfg.Store.Result(r.ctx, t.desc.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look into the cache: %w", err)
	}
	return &result{description: t.desc, state: Cached, output: res.Output, log: res.Log, seconds: res.Seconds}, nil
}

// start has the work of t done in a pool, unless somebody in this process does the same already. In that case t
// advances again when that is over, and finds the result in the cache.
func (r *run) start(t *task, key string, p *pool) {
	if !r.e.flights.join(key, func() { r.push(t) }) {
		return
	}
	p.run(func() {
		if t.n.Op == opSource || r.e.own[t.n.Name] { // cheap or not to be shared: no other process need wait
			r.work(t, key, nil)
			return
		}
		// Whoever waits for another process gives up the place in the pool.
		soon, cancel := context.WithTimeoutCause(r.ctx, lockPatience, errBusy)
		unlock, err := r.e.cfg.Locks.Lock(soon, key)
		busy := err != nil && context.Cause(soon) == errBusy
		cancel()
		switch {
		case busy:
			r.e.lockers.run(func() {
				unlock, err := r.e.cfg.Locks.Lock(r.ctx, key)
				if err != nil {
					r.land(t, key, nil, err)
					return
				}
				p.run(func() { r.work(t, key, unlock) })
			})
		case err != nil:
			r.land(t, key, nil, err)
		default:
			r.work(t, key, unlock)
		}
	})
}

// lockPatience is how long a step waits for its lock while it has a place in its pool: long enough to get a lock that
// is free, too short to be felt.
const lockPatience = 2 * time.Millisecond

var errBusy = errors.New("engine: another process runs this step")

// work runs t's step in the goroutine of its pool, unless somebody has done so since the cache was last looked into.
func (r *run) work(t *task, key string, unlock func()) {
	res, err := r.already(t)
	if res == nil && err == nil {
		res, err = r.execute(t)
	}
	if unlock != nil {
		unlock()
	}
	r.land(t, key, res, err)
}

// already is the result of t if it has come about while t waited for its turn.
func (r *run) already(t *task) (*result, error) {
	switch {
	case r.ctx.Err() != nil:
		return nil, context.Cause(r.ctx)
	case t.n.Op == opSource:
		return r.e.remembered(t.n.id), nil
	case t.suspect != nil:
		return nil, nil
	}
	return r.cached(t)
}

func (r *run) land(t *task, key string, res *result, err error) {
	r.finish(t, res, err)
	r.e.flights.land(key)
}

// finish ends t. Whatever fails after the run was cancelled fails because of that and is not to blame.
func (r *run) finish(t *task, res *result, err error) {
	if err == nil && res != nil && !t.memo.IsZero() {
		err = r.e.cfg.Store.Record(r.ctx, t.memo, store.Result{Output: res.output, Log: res.log, Seconds: res.seconds})
	}
	if err == nil && res != nil {
		r.e.mu.Lock()
		r.e.memo[t.n.id] = res
		r.e.mu.Unlock()
		if res.state == Cached {
			r.e.cfg.Events.Emit(event.StepDone{Label: t.label(), Kind: t.n.kind(), Key: t.keyText(), Cached: true,
				Output: res.output.Digest(), Seconds: res.seconds, Log: res.log})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.result = res
	if err != nil {
		t.failed = true
		// The plan of a target fails after the step that it asked about, and knows better what it wanted with that.
		if r.ctx.Err() == nil || t.n.Op == opTarget && !r.stopped(err) {
			t.err = err
			if res == nil {
				res = &result{description: t.desc, state: Failed, err: err}
				t.result = res
			}
			r.e.mu.Lock()
			r.e.broken[t.n.id] = res
			r.e.mu.Unlock()
			if !r.e.cfg.KeepGoing {
				r.cancel(errStopped)
			}
		}
	}
	r.fresh = r.fresh || res != nil && res.state != Known && res.state != Cached
	t.done = true
	if t.ended != nil {
		close(t.ended)
	}
	for _, u := range t.users {
		if u.waits--; u.waits == 0 {
			r.push(u)
		}
	}
	t.users = nil
}

// stopped says that err only tells of the end of the run.
func (r *run) stopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(r.ctx))
}

// label is what events call t: its target and its own label.
func (t *task) label() string { return joinLabel(t.target, t.n.Label) }

func joinLabel(target, label string) string {
	if target == "" || target == label {
		return label
	}
	return target + ": " + label
}

func (t *task) keyText() string {
	if t.desc == nil {
		return ""
	}
	return t.desc.key.String()
}

// kind is what events call n's operation.
func (n *node) kind() event.StepKind {
	switch n.Op {
	case opRun:
		return event.KindAction
	case opNative:
		return event.KindNative
	case opFetch, opGit:
		return event.KindFetch
	case opSource, opTree:
		return event.KindSource
	}
	return event.KindPlan
}
