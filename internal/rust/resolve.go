package rust

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

// The limits of what a resolution may look at.
const (
	maxIndexFile = 64 << 20 // the longest in the wild has 2 MB
	maxCrates    = 5000     // names
)

// Resolver answers the question which crates a project without a good lock needs, from sparse indexes.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
}

// Resolve gives at least the crates from which cargo can make a lock for the needs of q. The lines of a request are
//
//	need NAME REQUIREMENT [features=A,B] [no-default]
//	have NAME VERSION      (in a lock that is out of date: preferred)
//	rust 1.97              (crates that ask for a newer one come last)
//
// For every requirement it takes the newest version that fits, unless one that is taken already does, with what the features ask for that are
// on. It does not go back on a choice: cargo, which makes the lock, has all that was taken to choose from.
func (r Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	endpoints, err := r.Endpoints.For(ctx, source.Crates)
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 0 {
		return nil, diag.Environmentf("no-origin", "no registry of crates is configured, so that the crates of `%s` cannot be resolved", q.Set).
			Hint("add `[mirror.crates] urls = [\"https://index.example\"]` to hewn.toml, with the root of a sparse index")
	}
	s := &resolution{getter: r.Getter, endpoints: endpoints, crates: map[string]*candidates{}, have: map[string]bool{}}
	if err := s.start(q.Request); err != nil {
		return nil, diag.Inputf("bad-request", "cannot resolve `%s`", q.Set).Because(err)
	}
	for len(s.queue) > 0 {
		name := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.settle(ctx, name); err != nil {
			return nil, diag.Failf("no-solution", "cannot resolve the crates of `%s`", strings.TrimPrefix(q.Set, "crates/")).Because(err)
		}
	}
	return s.artifacts()
}

// resolution is the work on one question. Demands only ever grow, so that it ends.
type resolution struct {
	getter    fetch.Getter
	endpoints []origin.Endpoint
	crates    map[string]*candidates
	have      map[string]bool // "name version"
	rust      string
	queue     []string // names whose demands have grown
}

// candidates is a crate: what there is of it, and what is wanted.
type candidates struct {
	asked    bool
	versions []*release // newest first
	demands  []demand
}

// demand is a dependency on a crate.
type demand struct {
	req      string
	features []string
	defaults bool
}

func (d demand) same(o demand) bool {
	return d.req == o.req && d.defaults == o.defaults && slices.Equal(d.features, o.features)
}

// release is a line of an index file.
type release struct {
	Name      string              `json:"name"`
	Version   string              `json:"vers"`
	Deps      []indexDep          `json:"deps"`
	Checksum  string              `json:"cksum"`
	Features  map[string][]string `json:"features"`
	Features2 map[string][]string `json:"features2"`
	Yanked    bool                `json:"yanked"`
	Rust      string              `json:"rust_version"`

	v     version
	taken bool
	on    map[string]bool     // features
	extra map[string][]string // features of dependencies, by the dependency's name
	deps  map[string]bool     // optional dependencies that are on
}

type indexDep struct {
	Name     string   `json:"name"`
	Package  string   `json:"package"` // if Name is another name for it
	Req      string   `json:"req"`
	Features []string `json:"features"`
	Optional bool     `json:"optional"`
	Defaults bool     `json:"default_features"`
	Kind     string   `json:"kind"`
	Registry string   `json:"registry"`
}

func (s *resolution) start(lines []string) error {
	for _, line := range lines {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "rust":
			s.rust = f[1]
		case len(f) == 3 && f[0] == "have":
			s.have[f[1]+" "+f[2]] = true
		case len(f) >= 3 && f[0] == "need":
			d := demand{req: f[2], defaults: true}
			for _, o := range f[3:] {
				if list, ok := strings.CutPrefix(o, "features="); ok {
					d.features = strings.Split(list, ",")
				} else if o == "no-default" {
					d.defaults = false
				} else {
					return fmt.Errorf("the line %q is not understood", line)
				}
			}
			s.demand(f[1], d)
		default:
			return fmt.Errorf("the line %q is not understood", line)
		}
	}
	return nil
}

// demand notes that something wants a crate.
func (s *resolution) demand(name string, d demand) {
	c := s.crates[name]
	if c == nil {
		c = &candidates{}
		s.crates[name] = c
	}
	if !slices.ContainsFunc(c.demands, d.same) {
		c.demands = append(c.demands, d)
		s.queue = append(s.queue, name)
	}
}

// settle takes a version for every demand on a crate, and passes on what the versions that are taken want themselves.
func (s *resolution) settle(ctx context.Context, name string) error {
	c := s.crates[name]
	if !c.asked {
		if len(s.crates) > maxCrates {
			return fmt.Errorf("more than %d crates are wanted", maxCrates)
		}
		list, err := s.index(ctx, name)
		if err != nil {
			return err
		}
		c.asked, c.versions = true, list
	}
	for _, d := range c.demands {
		req, ok := parseRequirement(d.req)
		if !ok {
			return fmt.Errorf("`%s` is wanted in version %q, which is no requirement", name, d.req)
		}
		fits := func(r *release) bool { return req.matches(r.v) }
		if !slices.ContainsFunc(c.versions, func(r *release) bool { return r.taken && fits(r) }) {
			best := s.best(c.versions, fits)
			if best == nil {
				return fmt.Errorf("no version of `%s` is %s", name, d.req)
			}
			best.taken = true
		}
		for _, r := range c.versions {
			if r.taken && fits(r) {
				s.pass(r, d)
			}
		}
	}
	return nil
}

// best is the version that was locked, else the newest that the compiler takes, else the newest. What was withdrawn is taken only if it was locked.
func (s *resolution) best(list []*release, fits func(*release) bool) (best *release) {
	rank := func(r *release) int {
		switch {
		case s.have[r.Name+" "+r.Version]:
			return 3
		case r.Yanked:
			return 0
		case r.Rust != "" && s.rust != "" && older(s.rust, r.Rust):
			return 1
		}
		return 2
	}
	for _, r := range list {
		if fits(r) && rank(r) > 0 && (best == nil || rank(r) > rank(best)) {
			best = r
		}
	}
	return best
}

// pass turns features on, and demands what the release then needs.
func (s *resolution) pass(r *release, d demand) {
	if r.on == nil {
		r.on, r.deps, r.extra = map[string]bool{}, map[string]bool{}, map[string][]string{}
	}
	if d.defaults {
		r.enable("default")
	}
	for _, f := range d.features {
		r.enable(f)
	}
	for _, dep := range r.Deps {
		if dep.Kind == "dev" || dep.Optional && !r.deps[dep.Name] {
			continue
		}
		features := slices.Concat(dep.Features, r.extra[dep.Name])
		slices.Sort(features)
		s.demand(cmp.Or(dep.Package, dep.Name), demand{req: strings.ReplaceAll(cmp.Or(dep.Req, "*"), " ", ""), features: slices.Compact(features), defaults: dep.Defaults})
	}
}

// enable turns on a feature, and all that follows from it.
func (r *release) enable(f string) {
	if r.on[f] {
		return
	}
	r.on[f] = true
	if dep, ok := strings.CutPrefix(f, "dep:"); ok {
		r.deps[dep] = true
		return
	}
	if dep, feature, ok := strings.Cut(f, "/"); ok {
		name := strings.TrimSuffix(dep, "?")
		r.extra[name] = append(r.extra[name], feature)
		if name == dep {
			r.deps[name] = true
			r.enable(name)
		}
		return
	}
	list, named := r.Features[f]
	more, named2 := r.Features2[f]
	for _, next := range slices.Concat(list, more) {
		r.enable(next)
	}
	if !named && !named2 {
		r.deps[f] = true // an optional dependency is a feature of its name
	}
}

// index reads what the first endpoint that has a crate says of it.
func (s *resolution) index(ctx context.Context, name string) ([]*release, error) {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return nil, fmt.Errorf("%q cannot be the name of a crate", name)
	}
	lower := strings.ToLower(name)
	for _, e := range s.endpoints {
		root := strings.TrimSuffix(strings.TrimPrefix(e.URL, "sparse+"), "/")
		b, err := s.getter.Get(ctx, e, root+"/"+indexPrefix(lower)+"/"+url.PathEscape(lower), "", maxIndexFile)
		if errors.Is(err, fetch.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return readIndex(name, b)
	}
	from := make([]string, len(s.endpoints))
	for i, e := range s.endpoints {
		from[i] = e.From
	}
	return nil, fmt.Errorf("no registry has a crate `%s` (asked: %s)", name, strings.Join(from, ", "))
}

// readIndex reads the lines of an index file. A line that cannot be read belongs to a newer format, and is passed over.
func readIndex(name string, b []byte) ([]*release, error) {
	var out []*release
	for line := range bytes.Lines(b) {
		r := &release{}
		if json.Unmarshal(line, r) != nil || r.Name != name {
			continue
		}
		v, parts, ok := parseVersion(r.Version)
		if !ok || parts != 3 {
			continue
		}
		r.v = v
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the index has no version of `%s`", name)
	}
	slices.SortStableFunc(out, func(a, b *release) int { return b.v.compare(a.v) })
	return out, nil
}

// artifacts is what was taken, by name and version.
func (s *resolution) artifacts() ([]source.Artifact, error) {
	var out []source.Artifact
	for _, name := range sortedKeys(s.crates) {
		list := s.crates[name].versions
		for i := len(list) - 1; i >= 0; i-- {
			if !list[i].taken {
				continue
			}
			p := cargo.Package{Name: list[i].Name, Version: list[i].Version}
			var err error
			if p.Checksum, err = source.ParseIntegrity("sha256:" + list[i].Checksum); err != nil {
				return nil, fmt.Errorf("checksum of %s in the index: %w", p, err)
			}
			a, err := Artifact(&p)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	return out, nil
}
