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
	ans   []source.Artifact
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
			return slices.Clone(c.ans), c.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	c.ans, c.err = u.answer(ctx, q)
	close(c.ready)
	return slices.Clone(c.ans), c.err
}

func (u *Updater) answer(ctx context.Context, q Question) ([]source.Artifact, error) {
	var ans []source.Artifact
	var err error
	if !u.refresh(q) {
		ans, err = u.old.Artifacts(ctx, q)
	}
	if ans == nil || err != nil {
		r := u.resolvers[q.Ecosystem]
		if r == nil {
			return nil, diag.Failf("no-resolver", "nothing here can resolve %s", q.key())
		}
		if ans, err = r.Resolve(ctx, q); err != nil {
			return nil, fmt.Errorf("cannot resolve %s: %w", q.key(), err)
		}
		sortArtifacts(ans)
		ans = slices.Compact(ans)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if prev, dup := u.done[q.key()]; dup && !slices.Equal(prev.request, q.Request) {
		return nil, diag.Inputf("pin-ambiguous", "two different requests have the name %s", q.key()).
			With("one: "+JoinFields(prev.request), "other: "+JoinFields(q.Request)).
			Hint("give one of them another name in the recipe")
	}
	u.done[q.key()] = answer{slices.Clone(q.Request), slices.Clone(ans)}
	return ans, nil
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
