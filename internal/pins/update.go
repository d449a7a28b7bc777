package pins

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// Mode says which answers an Updater keeps.
type Mode int

const (
	// All asks the resolvers for everything.
	All Mode = iota
	// Missing keeps every answer that fits its question.
	Missing
)

// Updater is the Pins of `hewn update`: it resolves what must be resolved and remembers every answer.
type Updater struct {
	old       *Lock
	resolvers map[source.Ecosystem]Resolver
	refresh   func(Question) bool

	mu    sync.Mutex
	calls map[string]*call
	done  map[key]answer
}

type call struct {
	ready chan struct{}
	ans   answer
	err   error
}

// NewUpdater starts from old. refresh, if not nil, chooses the questions that are resolved anew although old answers
// them.
func NewUpdater(old *Lock, resolvers map[source.Ecosystem]Resolver, mode Mode, refresh func(Question) bool) *Updater {
	if refresh == nil {
		refresh = func(Question) bool { return mode == All }
	}
	return &Updater{old: old, resolvers: resolvers, refresh: refresh, calls: map[string]*call{}, done: map[key]answer{}}
}

// Artifacts answers q, resolving it at most once a run.
func (u *Updater) Artifacts(ctx context.Context, q Question) ([]source.Artifact, error) {
	a, err := u.once(ctx, q, func() (answer, error) {
		if old, err := u.old.Artifacts(ctx, q); err == nil && old != nil && !u.refresh(q) {
			return answer{artifacts: old}, nil
		}
		r := u.resolvers[q.Ecosystem]
		if r == nil {
			return answer{}, diag.Failf("no-resolver", "nothing here can resolve %s", q.key())
		}
		list, err := r.Resolve(ctx, q)
		if err != nil {
			return answer{}, fmt.Errorf("cannot resolve %s: %w", q.key(), err)
		}
		list = slices.Clone(list)
		sortArtifacts(list)
		return answer{artifacts: slices.Compact(list)}, nil
	})
	return slices.Clone(a.artifacts), err
}

// Lines answers q, observing it at most once a run.
func (u *Updater) Lines(ctx context.Context, q Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	a, err := u.once(ctx, q, func() (answer, error) {
		if old, err := u.old.Lines(ctx, q, nil); err == nil && !u.refresh(q) {
			return answer{lines: old}, nil
		}
		host := platform.Host()
		foreign := q.Platform.Arch != "" && (q.Platform.Arch != host.Arch || q.Platform.OS != host.OS)
		// Where code for q's platform cannot run, the answer for this machine's stands in: what back ends ask for is hardly
		// ever another thing there, and a build notices if it is.
		if a, ok := u.old.sets[key{q.Ecosystem, q.Set, host}]; ok && foreign && slices.Equal(a.request, q.Request) {
			return answer{lines: a.lines}, nil
		}
		lines, err := observe(ctx)
		if err == nil {
			err = checkLines(lines)
		}
		switch {
		case err != nil && foreign:
			return answer{}, diag.Environmentf("foreign-code", "to answer %s, code for %s has to run", q.key(), q.Platform).Because(err).
				Hint("pin it for the platform of this machine first (`hewn update --missing`): its answer then stands in").
				Hint("or do this on a machine that runs code for %s", q.Platform)
		case err != nil:
			return answer{}, fmt.Errorf("cannot resolve %s: %w", q.key(), err)
		}
		return answer{lines: slices.Clone(lines)}, nil
	})
	return slices.Clone(a.lines), err
}

// once has q resolved by the first who asks it; the others wait for that.
func (u *Updater) once(ctx context.Context, q Question, resolve func() (answer, error)) (answer, error) {
	id := q.key().String() + "\n" + strings.Join(q.Request, "\n")
	u.mu.Lock()
	c, ok := u.calls[id]
	if !ok {
		c = &call{ready: make(chan struct{})}
		u.calls[id] = c
	}
	u.mu.Unlock()
	if ok {
		select {
		case <-c.ready:
			return c.ans, c.err
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		}
	}
	if c.ans, c.err = resolve(); c.err == nil {
		c.err = u.remember(q, c.ans)
	}
	close(c.ready)
	return c.ans, c.err
}

// remember notes the answer to q for the new lock.
func (u *Updater) remember(q Question, a answer) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if prev, dup := u.done[q.key()]; dup && !slices.Equal(prev.request, q.Request) {
		return diag.Inputf("pin-ambiguous", "two different requests have the name %s", q.key()).
			With("one: "+JoinFields(prev.request), "other: "+JoinFields(q.Request)).
			Hint("give one of them another name in the recipe")
	}
	a.request = slices.Clone(q.Request)
	u.done[q.key()] = a
	return nil
}

// Result is the new lock. Where complete, every question of the platform has been asked, so that answers to questions
// that nobody asked any more go; else they stay.
func (u *Updater) Result(complete bool, plat platform.Platform) *Lock {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := NewLock(u.old.file)
	for k, a := range u.old.sets {
		if !complete || (k.plat != (platform.Platform{}) && k.plat != plat) {
			l.sets[k] = a
		}
	}
	maps.Copy(l.sets, u.done)
	return l
}
