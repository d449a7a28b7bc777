package debian

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
)

// request is what a recipe asks of an index.
type request struct {
	packages  relation // in the order in which they were asked for
	exclude   map[string]bool
	essential bool
}

// solver finds the closure of a request over one index, deterministically: everything that leaves no choice is taken
// first; then, choice by choice, the first alternative that can be had, unless something taken satisfies it already.
// Where an alternative leads to a conflict or to something that is missing, the next one is tried.
type solver struct {
	x     *index
	q     request
	tries int // alternatives that may still be given up
}

// maxTries bounds the search. Debian's archive is kept so that first alternatives fit: real roots give up one or two.
const maxTries = 2000

// state is how far a search has come.
type state struct {
	taken   map[string]*choice
	order   []*choice
	choices []need // that leave a choice, waiting
	queue   []need // that don't
}

func (st *state) clone() *state {
	return &state{taken: maps.Clone(st.taken), order: slices.Clone(st.order), choices: slices.Clone(st.choices)}
}

// choice is a package that was taken, and because of what.
type choice struct {
	p       *pkg
	forNeed need
}

// need is a group to satisfy and the package that wants it; nil for the request itself.
type need struct {
	g  group
	by *choice
}

// closure gives the packages that the request needs, sorted by name.
func closure(x *index, q request) ([]*pkg, error) {
	s := &solver{x: x, q: q, tries: maxTries}
	st := &state{taken: map[string]*choice{}}
	for _, g := range q.packages {
		st.queue = append(st.queue, need{g: g})
	}
	if q.essential {
		st.queue = append(st.queue, s.essentials()...)
	}
	st, err := s.search(st)
	if err != nil {
		return nil, err
	}
	out := make([]*pkg, len(st.order))
	for i, c := range st.order {
		out[i] = c.p
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func (s *solver) essentials() []need {
	var out []need
	for name, p := range s.x.packages {
		if p.essential {
			out = append(out, need{g: group{{name: name}}})
		}
	}
	slices.SortFunc(out, func(a, b need) int { return strings.Compare(a.g[0].name, b.g[0].name) })
	return out
}

// search completes a state. Its error is that of the first alternatives, which are the ones that people know.
func (s *solver) search(st *state) (*state, error) {
	for len(st.queue) > 0 {
		n := st.queue[0]
		st.queue = st.queue[1:]
		if err := s.follow(st, n); err != nil {
			return nil, err
		}
	}
	if len(st.choices) == 0 {
		return st, nil
	}
	n := st.choices[0]
	st.choices = st.choices[1:]
	candidates, there := s.candidates(st, n)
	if there {
		return s.search(st)
	}
	var first error
	for _, p := range candidates {
		next := st.clone()
		err := s.take(next, &choice{p, n})
		if err == nil {
			if next, err = s.search(next); err == nil {
				return next, nil
			}
		}
		if first == nil {
			first = err
		}
		if s.tries--; s.tries <= 0 {
			break
		}
	}
	return nil, first
}

// follow takes what n needs if there is no choice, and leaves it for later if there is.
func (s *solver) follow(st *state, n need) error {
	candidates, there := s.candidates(st, n)
	switch {
	case there:
		return nil
	case len(candidates) == 0:
		return s.missing(n)
	case len(candidates) > 1:
		st.choices = append(st.choices, n)
		return nil
	}
	return s.take(st, &choice{candidates[0], n})
}

// candidates gives the packages that satisfy n, best first, or says that n is satisfied already.
func (s *solver) candidates(st *state, n need) (out []*pkg, there bool) {
	for _, a := range n.g {
		if s.q.exclude[a.name] {
			return nil, true // the caller says that this one is not wanted: it counts as being there
		}
		for _, p := range s.x.candidates(a) {
			if st.taken[p.name] != nil {
				return nil, true
			}
			if !s.q.exclude[p.name] && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out, false
}

func (s *solver) take(st *state, c *choice) error {
	other, says, err := st.conflict(c.p)
	if err != nil {
		return err
	}
	if other != nil {
		return conflicting(c, other, says)
	}
	st.taken[c.p.name] = c
	st.order = append(st.order, c)
	groups, err := c.p.needs()
	for _, g := range groups {
		st.queue = append(st.queue, need{g, c})
	}
	return err
}

// conflict gives a package taken before that cannot be together with p, and who says so in which words.
func (st *state) conflict(p *pkg) (other *choice, says string, err error) {
	for _, c := range st.order {
		for _, pair := range [2][2]*pkg{{p, c.p}, {c.p, p}} {
			hit, err := conflicts(pair[0], pair[1])
			if err != nil {
				return nil, "", err
			}
			if hit != nil {
				return c, fmt.Sprintf("%s %s has `%s`", pair[0].name, pair[0].version, hit), nil
			}
		}
	}
	return nil, "", nil
}

// conflicts gives what a declares because of which it cannot be together with b, by b's name or by what b provides;
// nil if there is nothing. A package may conflict with a name that it provides itself: that is how one of several
// providers is enforced.
func conflicts(a, b *pkg) (*exclusion, error) {
	against, err := a.excludes()
	if err != nil || len(against) == 0 || a == b {
		return nil, err
	}
	var provides relation
	if b.provides != "" {
		if provides, err = parseRelation(b.provides); err != nil {
			return nil, err
		}
	}
	for i := range against {
		x := against[i].atom
		if x.arch != "" && x.arch != "any" && x.arch != "native" && x.arch != b.home {
			continue
		}
		if x.name == b.name && x.admits(b.ver) {
			return &against[i], nil
		}
		for _, v := range provides {
			if v[0].name == x.name && (x.op == "" || v[0].op == "=" && x.admits(v[0].ver)) {
				return &against[i], nil
			}
		}
	}
	return nil, nil
}

// chain tells why a package was taken, from itself up to the request.
func (c *choice) chain() []string {
	var out []string
	for c != nil {
		if c.forNeed.by == nil {
			return append(out, fmt.Sprintf("%s %s is asked for", c.p.name, c.p.version))
		}
		out = append(out, fmt.Sprintf("%s %s is needed by %s: %s", c.p.name, c.p.version, c.forNeed.by.p.name, c.forNeed.g))
		c = c.forNeed.by
	}
	return out
}

func (s *solver) missing(n need) error {
	p := diag.Failf("debian-missing", "no package satisfies `%s`", n.g)
	for _, a := range n.g {
		if have := s.x.packages[a.name]; have != nil {
			p.With(fmt.Sprintf("the suite has %s %s", have.name, have.version))
		}
	}
	if n.by == nil {
		return p.Hint("name another package or suite in the recipe's root")
	}
	return p.With(n.by.chain()...).Hint("add `exclude %s` to the root if nothing of it is used, or choose another suite", n.g[0].name)
}

func conflicting(c, other *choice, says string) error {
	return diag.Failf("debian-conflict", "package %s %s cannot be together with %s %s", c.p.name, c.p.version, other.p.name, other.p.version).
		With(says).With(c.chain()...).With(other.chain()...).
		Hint("put one of them into a root of its own, or exclude it")
}
