// Package resolver finds the build requirements of a package: one wheel for each project that a set of requirements
// needs, all constraints met. It is a backtracking search over metadata, newest versions first, that jumps back to the
// decision which caused a conflict. It runs nothing that it finds.
//
// Which files fit the target, and whether a wheel comes before an sdist, is the provider's choice: it gives candidates in
// the order in which they are tried.
package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
)

// Candidate is one version of a project that could be chosen.
type Candidate struct {
	Version pep440.Version
	File    any // of the provider: carried through
}

// Provider knows the projects. It is asked from one goroutine, and for one thing many times: it should remember.
type Provider interface {
	// Candidates gives the versions of a project that fit the target, the best first. yanked ones come with yanked set.
	Candidates(ctx context.Context, name string) (usable, yanked []Candidate, err error)
	// Requires gives the requirements of a version, unfiltered. An error that wraps ErrUnusable rules the version out.
	Requires(ctx context.Context, name string, c Candidate) ([]pep508.Requirement, error)
}

// ErrUnusable is wrapped by the errors of Requires that mean: take another version.
var ErrUnusable = errors.New("this version cannot be used")

// NoSolutionError says that no choice of versions is right.
type NoSolutionError struct{ text string }

// Error names the project for which nothing fits, and who asks for it.
func (e *NoSolutionError) Error() string { return e.text }

// Chosen is the version chosen for a project.
type Chosen struct {
	Name string
	Candidate
}

// maxSteps bounds the search; build requirements need some dozens.
const maxSteps = 20_000

// Resolve chooses a version for every project that the requirements need, sorted by name. Constraints bind versions
// without asking for anything.
func Resolve(ctx context.Context, p Provider, env pep508.Environment, requirements, constraints []pep508.Requirement) ([]Chosen, error) {
	s := &search{ctx: ctx, p: p, env: env, constraints: constraints, decided: map[string]*decision{}}
	for _, r := range requirements {
		if r.Marker.Holds(env) {
			s.require(r, nil)
		}
	}
	conflict, err := s.solve()
	if err != nil {
		return nil, err
	}
	if conflict != nil {
		return nil, s.explain()
	}
	var out []Chosen
	for _, d := range s.decided {
		out = append(out, Chosen{Name: d.name, Candidate: d.candidate})
	}
	slices.SortFunc(out, func(a, b Chosen) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// demand is a requirement together with the decision that brought it in (nil: the request itself).
type demand struct {
	pep508.Requirement
	from *decision
}

func (d demand) String() string {
	if d.from == nil {
		return "`" + d.Requirement.String() + "` is asked for"
	}
	return fmt.Sprintf("`%s` is needed by %s %s", d.Requirement, d.from.name, d.from.candidate.Version)
}

// decision is a project for which a version was chosen. extras are those whose requirements have been added.
type decision struct {
	name      string
	candidate Candidate
	extras    map[string]bool
}

// blame is a set of decisions; undoing one of them might help. The request itself is not in it: nothing helps then.
type blame map[*decision]bool

// search is one resolution. demands is a stack: backtracking cuts it.
type search struct {
	ctx         context.Context
	p           Provider
	env         pep508.Environment
	constraints []pep508.Requirement
	demands     []demand
	decided     map[string]*decision
	steps       int
	worst       []demand // of the deepest conflict, for the error
	worstName   string
	depth       int // decisions taken
	worstDepth  int
}

func (s *search) require(r pep508.Requirement, from *decision) {
	s.demands = append(s.demands, demand{r, from})
}

// solve decides what is undecided. It returns the decisions to blame where that cannot be done, nil where it was.
func (s *search) solve() (blame, error) {
	if s.steps++; s.steps > maxSteps {
		return nil, fmt.Errorf("no solution within %d steps", maxSteps)
	}
	if err := context.Cause(s.ctx); err != nil {
		return nil, err
	}
	for _, d := range s.demands {
		dec := s.decided[d.Name]
		if dec == nil {
			return s.decide(d.Name)
		}
		if x := missingExtra(dec, d.Extras); x != "" {
			return s.extend(dec, x)
		}
	}
	return nil, nil
}

func missingExtra(d *decision, extras []string) string {
	for _, x := range extras {
		if !d.extras[x] {
			return x
		}
	}
	return ""
}

// extend adds the requirements of an extra to a decision already taken.
func (s *search) extend(d *decision, extra string) (blame, error) {
	mark := len(s.demands)
	d.extras[extra] = true
	conflict, err := s.descend(d, []string{extra})
	if conflict != nil {
		s.demands = s.demands[:mark]
		delete(d.extras, extra)
		// Whoever asked for the extra is to blame too.
		for _, dem := range s.demands {
			if dem.Name == d.name && slices.Contains(dem.Extras, extra) && dem.from != nil {
				conflict[dem.from] = true
			}
		}
	}
	return conflict, err
}

// decide tries the versions of a project, newest first.
func (s *search) decide(name string) (blame, error) {
	candidates, err := s.allowed(name)
	if err != nil {
		return nil, err
	}
	all := blame{}
	var extras []string
	for _, d := range s.demands {
		if d.Name == name {
			extras = append(extras, d.Extras...)
			if d.from != nil {
				all[d.from] = true
			}
		}
	}
	if len(candidates) == 0 {
		s.note(name)
		return all, nil
	}
	mark := len(s.demands)
	for _, c := range candidates {
		d := &decision{name: name, candidate: c, extras: map[string]bool{"": true}}
		for _, x := range extras {
			d.extras[x] = true
		}
		s.decided[name] = d
		s.depth++
		conflict, err := s.descend(d, append([]string{""}, extras...))
		s.depth--
		if err != nil && !errors.Is(err, ErrUnusable) {
			return nil, err
		}
		if err == nil && conflict == nil {
			return nil, nil
		}
		s.demands = s.demands[:mark]
		delete(s.decided, name)
		if err != nil {
			s.note(name)
			continue // the version is ruled out whatever else is chosen
		}
		if !conflict[d] {
			return conflict, nil // another version of this project would change nothing
		}
		delete(conflict, d)
		for b := range conflict {
			all[b] = true
		}
	}
	return all, nil
}

// descend adds the requirements of a decision, for the given extras ("" being none), and goes on.
func (s *search) descend(d *decision, extras []string) (blame, error) {
	reqs, err := s.p.Requires(s.ctx, d.name, d.candidate)
	if err != nil {
		return nil, err
	}
	for _, r := range reqs {
		wanted := false
		for _, x := range extras {
			on := r.Marker.Holds(s.env.With(x))
			if x != "" {
				on = on && !r.Marker.Holds(s.env.With()) // what holds without the extra was added with ""
			}
			wanted = wanted || on
		}
		if !wanted {
			continue
		}
		s.require(r, d)
		if other := s.decided[r.Name]; other != nil && !r.Specifiers.Match(other.candidate.Version) {
			s.note(r.Name)
			return blame{d: true, other: true}, nil
		}
	}
	return s.solve()
}

// allowed filters a project's versions by all demands and constraints.
func (s *search) allowed(name string) ([]Candidate, error) {
	usable, yanked, err := s.p.Candidates(s.ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.why(name), err)
	}
	var specs []pep440.Specifiers
	pre, pinned := false, false
	for _, d := range s.demands {
		if d.Name != name {
			continue
		}
		if d.URL != "" {
			return nil, fmt.Errorf("%s: requirements with a URL are not supported", d)
		}
		specs = append(specs, d.Specifiers)
		pre = pre || d.Specifiers.NamesPre()
		_, is := d.Specifiers.Pinned()
		pinned = pinned || is
	}
	for _, c := range s.constraints {
		if c.Name == name && c.Marker.Holds(s.env) {
			specs = append(specs, c.Specifiers)
			pre = pre || c.Specifiers.NamesPre()
		}
	}
	if pinned { // PEP 592: a yanked version only for who names it exactly
		usable = slices.Concat(usable, yanked)
	}
	pre = pre || !slices.ContainsFunc(usable, func(c Candidate) bool { return !c.Version.Pre() })
	var out []Candidate
	for _, c := range usable {
		ok := pre || !c.Version.Pre()
		for _, spec := range specs {
			ok = ok && spec.Match(c.Version)
		}
		if ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// why is the first reason for which a project is needed.
func (s *search) why(name string) string {
	for _, d := range s.demands {
		if d.Name == name {
			return d.String()
		}
	}
	return name
}

// note keeps the deepest conflict: it is the one that says most.
func (s *search) note(name string) {
	if s.worst != nil && s.depth < s.worstDepth {
		return
	}
	s.worstName, s.worstDepth, s.worst = name, s.depth, nil
	for _, d := range s.demands {
		if d.Name == name {
			s.worst = append(s.worst, d)
		}
	}
}

func (s *search) explain() error {
	lines := make([]string, 0, len(s.worst))
	for _, d := range s.worst {
		lines = append(lines, d.String())
	}
	for _, c := range s.constraints {
		if c.Name == s.worstName {
			lines = append(lines, "`"+c.String()+"` is a constraint")
		}
	}
	slices.Sort(lines)
	return &NoSolutionError{fmt.Sprintf("no version of %s fits: %s", s.worstName, strings.Join(slices.Compact(lines), "; "))}
}
