package debian

import (
	"fmt"
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

// solver finds the closure of a request over one index. It is greedy and deterministic, and does not backtrack:
// everything that leaves no choice is taken first; then, choice by choice, the first alternative that conflicts with
// nothing taken, unless something taken satisfies it already. Debian's archive is kept installable that way.
type solver struct {
	x       *index
	q       request
	taken   map[string]*choice
	order   []*choice
	choices []need // that leave a choice, waiting
	queue   []need // that don't
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
	s := &solver{x: x, q: q, taken: map[string]*choice{}}
	for _, g := range q.packages {
		s.queue = append(s.queue, need{g: g})
	}
	if q.essential {
		s.queue = append(s.queue, s.essentials()...)
	}
	for len(s.queue)+len(s.choices) > 0 {
		n, last := s.pop()
		if err := s.satisfy(n, last); err != nil {
			return nil, err
		}
	}
	out := make([]*pkg, len(s.order))
	for i, c := range s.order {
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

// pop gives the next need; decide says that a choice must be made now, since nothing else is left.
func (s *solver) pop() (n need, decide bool) {
	if len(s.queue) > 0 {
		n, s.queue = s.queue[0], s.queue[1:]
		return n, false
	}
	n, s.choices = s.choices[0], s.choices[1:]
	return n, true
}

func (s *solver) satisfy(n need, decide bool) error {
	var candidates []*pkg
	for _, a := range n.g {
		if s.q.exclude[a.name] {
			return nil // the caller says that this one is not wanted: it counts as being there
		}
		for _, p := range s.x.candidates(a) {
			if s.taken[p.name] != nil {
				return nil
			}
			if !s.q.exclude[p.name] && !slices.Contains(candidates, p) {
				candidates = append(candidates, p)
			}
		}
	}
	switch {
	case len(candidates) == 0:
		return s.missing(n)
	case len(candidates) > 1 && !decide:
		s.choices = append(s.choices, n)
		return nil
	}
	var first error
	for _, p := range candidates {
		c := &choice{p, n}
		other, err := s.conflict(p)
		if err != nil {
			return err
		}
		if other == nil {
			return s.take(c)
		}
		if first == nil {
			first = s.conflicting(c, other)
		}
	}
	return first
}

func (s *solver) take(c *choice) error {
	s.taken[c.p.name] = c
	s.order = append(s.order, c)
	groups, err := c.p.needs()
	for _, g := range groups {
		s.queue = append(s.queue, need{g, c})
	}
	return err
}

// conflict gives a package taken before that cannot be together with p.
func (s *solver) conflict(p *pkg) (*choice, error) {
	for _, c := range s.order {
		for _, pair := range [2][2]*pkg{{p, c.p}, {c.p, p}} {
			hit, err := conflicts(pair[0], pair[1])
			if err != nil || hit {
				return c, err
			}
		}
	}
	return nil, nil
}

// conflicts says whether a declares that it cannot be together with b, by b's name or by what b provides. A package
// may conflict with a name that it provides itself: that is how one of several providers is enforced.
func conflicts(a, b *pkg) (bool, error) {
	against, err := a.excludes()
	if err != nil || len(against) == 0 || a == b {
		return false, err
	}
	var provides relation
	if b.provides != "" {
		if provides, err = parseRelation(b.provides); err != nil {
			return false, err
		}
	}
	for _, g := range against {
		x := g[0]
		if x.name == b.name && x.admits(b.ver) {
			return true, nil
		}
		for _, v := range provides {
			if v[0].name == x.name && (x.op == "" || v[0].op == "=" && x.admits(v[0].ver)) {
				return true, nil
			}
		}
	}
	return false, nil
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

func (s *solver) conflicting(c, other *choice) error {
	return diag.Failf("debian-conflict", "package %s %s cannot be together with %s %s", c.p.name, c.p.version, other.p.name, other.p.version).
		With(c.chain()...).With(other.chain()...).
		Hint("put one of them into a root of its own, or exclude it")
}
