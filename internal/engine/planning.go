package engine

import (
	"context"
	"fmt"
	"time"

	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/tree"
)

// planTarget finds out what the target of t is, and makes t wait for it.
func (r *run) planTarget(t *task) {
	s, err := r.planOf(t.n.Name)
	if err != nil {
		r.finish(t, nil, err)
		return
	}
	r.mu.Lock()
	t.plan = r.want(s.n, t.n.Name, true)
	r.await(t, t.plan)
	ready := t.waits == 0
	r.mu.Unlock()
	if ready {
		r.push(t)
	}
}

// planOf gives the step of a target. Each plan is made once in a process, and by one goroutine; it waits for others
// without holding a place in any pool.
func (r *run) planOf(name string) (Step, error) {
	e := r.e
	for {
		e.mu.RLock()
		s, ok := e.plans[name]
		e.mu.RUnlock()
		if ok {
			return s, nil
		}
		over := make(chan struct{})
		if e.flights.join("plan "+name, func() { close(over) }) {
			break
		}
		select {
		case <-over:
		case <-r.ctx.Done():
			return Step{}, context.Cause(r.ctx)
		}
	}
	defer e.flights.land("plan " + name)
	e.mu.RLock()
	s, ok := e.plans[name]
	e.mu.RUnlock()
	if ok {
		return s, nil
	}
	s, err := r.makePlan(name)
	if err == nil {
		err = e.linkTarget(name, s)
	}
	if err != nil {
		return Step{}, err
	}
	e.mu.Lock()
	e.plans[name] = s
	e.mu.Unlock()
	return s, nil
}

// makePlan takes the step of a target from its trace, or runs its plan and writes the trace.
func (r *run) makePlan(name string) (Step, error) {
	cfg := &r.e.cfg
	plan, identity, err := cfg.Targets.Plan(name)
	if err != nil {
		return Step{}, err
	}
	w := planWorld{r, name}
	key := traceKey(name, identity, cfg.Platform)
	begin := time.Now()
	done := event.StepDone{Label: name, Kind: event.KindPlan, Key: key, Cached: true}
	if t, ok := r.replay(key, w); ok {
		done.Seconds = time.Since(begin).Seconds()
		cfg.Events.Emit(done)
		r.tell(t.notes)
		return t.result, nil
	}
	cfg.Events.Emit(event.StepStarted{Label: name, Kind: event.KindPlan, Key: key, At: begin})
	ask := &Ask{world: w}
	var s Step
	err = guard(func() (err error) {
		s, err = plan(r.ctx, ask)
		return err
	})
	if err == nil && s.IsZero() {
		err = fmt.Errorf("the plan returned nothing")
	}
	if err == nil && ask.untraced == nil {
		r.saveTrace(key, &trace{asked: ask.asked, result: s, notes: ask.notes})
	}
	done.Cached, done.Seconds, done.Err = false, time.Since(begin).Seconds(), err
	cfg.Events.Emit(done)
	if err == nil {
		r.tell(ask.notes)
	}
	return s, err
}

// tell passes on what a plan has noted.
func (r *run) tell(notes []string) {
	for _, text := range notes {
		r.e.cfg.Events.Emit(event.Note{Level: "info", Text: text})
	}
}

// replay gives the trace at key if all its questions are still answered the same.
func (r *run) replay(key string, w world) (*trace, bool) {
	b, ok := r.e.cfg.Traces.LoadTrace(key)
	if !ok {
		return nil, false
	}
	t, err := decodeTrace(b)
	if err != nil || !r.e.knowsNatives(t.nodes) || !t.holds(r.ctx, w) {
		return nil, false
	}
	return t, true
}

// knowsNatives says whether this engine has the code of every native step in nodes; an older hewn may have written them.
func (e *Engine) knowsNatives(nodes []*node) bool {
	for _, n := range nodes {
		if n.Op == opNative {
			if _, ok := e.natives[n.Name]; !ok {
				return false
			}
		}
	}
	return true
}

// saveTrace keeps a trace. Without it the plan runs again next time, which is no reason to fail.
func (r *run) saveTrace(key string, t *trace) {
	if err := r.e.cfg.Traces.SaveTrace(key, t.encode()); err != nil {
		r.e.cfg.Events.Emit(event.Note{Level: "warning", Text: "cannot keep the trace of a plan: " + err.Error()})
	}
}

// planWorld is what the plan of a target asks.
type planWorld struct {
	r      *run
	target string
}

func (w planWorld) config() *Config { return &w.r.e.cfg }

func (w planWorld) static(ctx context.Context, n *node) (tree.Tree, error) {
	return w.r.tree(ctx, n, w.target)
}

func (w planWorld) observed(ctx context.Context, n *node) (tree.Tree, error) {
	if w.r.prefetch {
		return tree.Tree{}, fmt.Errorf("%s is to be observed, but this run only fetches", n.Label)
	}
	// The plan waits for the targets that n refers to, before it refers to anything by what it returns.
	if err := w.r.e.linkTarget(w.target, Step{n}); err != nil {
		return tree.Tree{}, err
	}
	// In a run of its own: if it fails while a trace is looked at, the plan must still be able to run, and say what for.
	r := newRun(ctx, w.r.e, false)
	defer r.close()
	return r.tree(r.outer, n, w.target)
}

// tree evaluates n as a part of the run, for the plan of a target.
func (r *run) tree(ctx context.Context, n *node, target string) (tree.Tree, error) {
	r.mu.Lock()
	t := r.want(n, target, true)
	r.mu.Unlock()
	r.wait(ctx, t)
	r.mu.Lock()
	done := t.done
	r.mu.Unlock()
	switch {
	case !done:
		return tree.Tree{}, context.Cause(ctx)
	case t.failed:
		return tree.Tree{}, r.verdict([]*task{t})
	}
	return t.result.output, nil
}
