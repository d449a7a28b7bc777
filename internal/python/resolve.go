package python

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/python/index"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/resolver"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/source"
)

// Locate finds an artifact of PyPI's kind at an endpoint that is a simple index.
func Locate(ctx context.Context, g fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	return index.Locate(ctx, g, e, a)
}

// Resolver answers questions about build requirements from simple indexes.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
	Notes     func(string) // gets what the person who updates should know; may be nil
	// MirrorsOnly says that no URL of a requirements.txt may be asked.
	MirrorsOnly bool
}

// Resolve gives one wheel, or where there is none one sdist, for each project that the question's requirements need. Lines of a request are requirements,
// but for `python 3.14` (needed), `libc 2.41`, `constraint name<2` and `cutoff`: with a time (`2026-05-01T00:00:00Z`), what the
// index says was uploaded later is left out; with a project and its version (`lxml==6.0.2`) what is newer than its sdist,
// as far as that can be done (ADR 0009).
//
// A request with the line `newest` is about what a program runs with, not what builds it: a newer sdist comes before an
// older wheel, `no-binary name` and `no-build name` (or `:all:`) rule out one kind of file, and `provided name==1.0` is
// there already. One with `url https://…` asks for the hash of that file.
//
// A request with the line `file name==1.0` asks for one file instead: the best wheel, else the sdist, among those whose
// hash one of its lines `hash sha256:…` gives; `no-binary` leaves the wheels out.
func (r Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	s, err := parseQuestion(q)
	if err != nil {
		return nil, diag.Inputf("bad-request", "cannot resolve `%s`", q.Set).Because(err)
	}
	if s.url != "" {
		return r.pinURL(ctx, s.url)
	}
	endpoints, err := r.Endpoints.For(ctx, source.PyPI)
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 0 {
		return nil, diag.Environmentf("no-origin", "no Python index is configured, so that build requirements cannot be resolved").
			Hint("add `[mirror.pypi] urls = [\"https://index.example/simple\"]` to hewn.toml, or configure pip or uv on this machine")
	}
	p := &provider{getter: r.Getter, endpoints: endpoints, spec: s, notes: r.Notes, pages: map[string][]index.File{}, known: map[string]*known{}, requires: map[string]required{}}
	if s.file.Name != "" {
		return p.locked(ctx)
	}
	chosen, err := p.solve(ctx)
	if err != nil {
		of := strings.TrimSuffix(strings.TrimPrefix(q.Set, "build/"), "/all")
		what := "build requirements of `" + of + "`"
		if s.newest {
			what = "requirements of `" + strings.TrimPrefix(q.Set, "requirements/") + "`"
		}
		problem := diag.Failf("no-solution", "cannot resolve the %s", what).Because(err)
		return nil, problem.With(p.reasons()...)
	}
	out := make([]source.Artifact, 0, len(chosen))
	for _, c := range chosen {
		a, err := p.artifact(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// spec is a question taken apart.
type spec struct {
	requirements []pep508.Requirement
	constraints  []pep508.Requirement
	env          pep508.Environment
	python       pep440.Version
	ranks        wheel.Ranks
	target       wheel.Target
	cutoff       time.Time
	cutoffOf     pep508.Requirement // whose sdist's upload is the cut-off, before it is known
	file         pep508.Requirement // not requirements, but one file of this project and version
	hashes       []string           // that the file may have
	noBinary     bool               // the file must be an sdist
	runtime                         // what only a request with `newest` has
}

func parseQuestion(q pins.Question) (spec, error) {
	s := spec{target: wheel.Target{Platform: q.Platform}}
	for _, line := range q.Request {
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "python":
			s.target.Python = rest
		case "libc":
			s.target.Libc = rest
		case "cutoff":
			err = s.parseCutoff(rest)
		case "constraint":
			s.constraints, err = appendRequirement(s.constraints, rest)
		case "newest", "no-build", "provided", "url":
			err = s.parseRuntime(word, rest)
		case "no-binary":
			s.noBinary = rest == ""
			s.sourceOnly = append(s.sourceOnly, rest)
		case "file":
			s.file, err = pep508.Parse(rest)
		case "hash":
			s.hashes = append(s.hashes, rest)
		default:
			s.requirements, err = appendRequirement(s.requirements, line)
		}
		if err != nil {
			return s, err
		}
	}
	if s.target.Python == "" {
		return s, errors.New("the request does not say for which Python")
	}
	var err error
	if s.ranks, err = wheel.NewRanks(s.target); err != nil {
		return s, err
	}
	full := s.target.Python
	if strings.Count(full, ".") < 2 {
		full += ".0"
	}
	if s.python, err = pep440.Parse(full); err != nil {
		return s, err
	}
	s.env, err = pep508.CPython(full, q.Platform)
	return s, err
}

func appendRequirement(list []pep508.Requirement, text string) ([]pep508.Requirement, error) {
	r, err := pep508.Parse(text)
	return append(list, r), err
}

// provider answers the resolver's questions from indexes and remembers the answers.
type provider struct {
	getter    fetch.Getter
	endpoints []origin.Endpoint
	spec      spec
	notes     func(string)
	pages     map[string][]index.File // of the index, by endpoint and project
	known     map[string]*known
	requires  map[string]required // by file name
}

// known is a project that was looked up.
type known struct {
	usable, yanked []resolver.Candidate
	reason         string // why there is nothing usable
}

type required struct {
	list []pep508.Requirement
	err  error
}

// located is what a candidate carries: its wheel and where that was found.
type located struct {
	index.File
	endpoint origin.Endpoint
}

// Candidates implements resolver.Provider. The first endpoint that has the project answers for it, so that a private
// project's name cannot be taken over by a later one.
func (p *provider) Candidates(ctx context.Context, name string) (usable, yanked []resolver.Candidate, err error) {
	if k := p.known[name]; k != nil {
		return k.usable, k.yanked, nil
	}
	for _, e := range p.endpoints {
		files, err := p.project(ctx, e, name)
		if errors.Is(err, fetch.ErrGone) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		k := p.sort(name, files, e)
		p.known[name] = k
		return k.usable, k.yanked, nil
	}
	from := make([]string, len(p.endpoints))
	for i, e := range p.endpoints {
		from[i] = e.From
	}
	return nil, nil, diag.Failf("no-project", "no index has a project `%s` (asked: %s)", name, strings.Join(from, ", "))
}

// project is the page of a project at one endpoint.
func (p *provider) project(ctx context.Context, e origin.Endpoint, name string) ([]index.File, error) {
	if files, ok := p.pages[e.URL+" "+name]; ok {
		return files, nil
	}
	files, err := index.Project(ctx, p.getter, e, name)
	if err == nil {
		p.pages[e.URL+" "+name] = files
	}
	return files, err
}

// sort keeps the wheels that fit, the best of each version, and the sdists of versions that have none.
func (p *provider) sort(name string, files []index.File, e origin.Endpoint) *known {
	byVersion, sdists := map[string][]index.File{}, map[string][]index.File{}
	for _, f := range files {
		if !p.inTime(f) || !p.fitsPython(f.RequiresPython) || !p.spec.allows(name, f.Name) {
			continue
		}
		w, err := wheel.ParseFileName(f.Name)
		if err != nil {
			if project, version, ok := fileName(f.Name); ok && project == name {
				sdists[version] = append(sdists[version], f)
			}
			continue
		}
		if _, ok := p.spec.ranks.Rank(w); ok && w.Name == name {
			byVersion[w.Version] = append(byVersion[w.Version], f)
		}
	}
	k := &known{}
	if p.spec.newest {
		for version, list := range sdists {
			byVersion[version] = append(byVersion[version], list...)
		}
		sdists = nil
	}
	p.collect(k, byVersion, e)
	// What must be built first comes after everything that need not be, even if it is newer.
	p.collect(k, sdists, e)
	if len(k.usable) == 0 {
		k.reason = fmt.Sprintf("`%s` has neither a wheel for Python %s on %s nor an sdist", name, p.spec.target.Python, p.spec.target.Platform)
	}
	return k
}

// collect appends one candidate for each version, newest first.
func (p *provider) collect(k *known, byVersion map[string][]index.File, e origin.Endpoint) {
	var usable, withdrawn []resolver.Candidate
	for version, list := range byVersion {
		v, err := pep440.Parse(version)
		if err != nil {
			continue
		}
		yanked := !slices.ContainsFunc(list, func(f index.File) bool { return !f.Yanked })
		if !yanked {
			list = slices.DeleteFunc(list, func(f index.File) bool { return f.Yanked })
		}
		slices.SortFunc(list, func(a, b index.File) int { return cmp.Compare(a.Name, b.Name) })
		names := make([]string, len(list))
		for i := range list {
			names[i] = list[i].Name
		}
		// Of several sdists of one version, .tar.gz comes before .zip.
		c := resolver.Candidate{Version: v, File: located{list[max(0, p.spec.ranks.Best(names))], e}}
		if yanked {
			withdrawn = append(withdrawn, c)
		} else {
			usable = append(usable, c)
		}
	}
	for _, list := range [][]resolver.Candidate{usable, withdrawn} {
		slices.SortFunc(list, func(a, b resolver.Candidate) int {
			// Equal versions in two spellings (1.0, 1.0.0) need an order of their own.
			return cmp.Or(pep440.Compare(b.Version, a.Version), cmp.Compare(a.Version.String(), b.Version.String()))
		})
	}
	k.usable, k.yanked = append(k.usable, usable...), append(k.yanked, withdrawn...)
}

func (p *provider) inTime(f index.File) bool {
	if p.spec.cutoff.IsZero() || f.UploadTime == "" {
		return true
	}
	t, err := time.Parse(time.RFC3339, f.UploadTime)
	return err != nil || !t.After(p.spec.cutoff)
}

// fitsPython is lenient with what cannot be read, as all installers are: old files have such texts.
func (p *provider) fitsPython(requires string) bool {
	spec, err := pep440.ParseSpecifiers(requires)
	return err != nil || spec.Match(p.spec.python)
}

// Requires implements resolver.Provider.
func (p *provider) Requires(ctx context.Context, name string, c resolver.Candidate) ([]pep508.Requirement, error) {
	f := c.File.(located)
	if r, ok := p.requires[f.Name]; ok {
		return r.list, r.err
	}
	m, err := index.ReadMetadata(ctx, p.getter, f.endpoint, f.File)
	if err == nil && !p.fitsPython(m.RequiresPython) {
		err = fmt.Errorf("%s %s is for Python %s", name, c.Version, m.RequiresPython)
	}
	if err == nil {
		m.Requires, err = p.spec.withoutProvided(m.Requires)
	}
	if err != nil && context.Cause(ctx) == nil {
		err = fmt.Errorf("%w: %w", resolver.ErrUnusable, err)
		if k := p.known[name]; k != nil {
			k.reason = err.Error()
		}
	}
	p.requires[f.Name] = required{m.Requires, err}
	return m.Requires, err
}

// artifact is what is pinned of a choice. It has no URL: the pin must not name a host, and the file name finds it.
func (p *provider) artifact(ctx context.Context, c resolver.Chosen) (source.Artifact, error) {
	f := c.File.(located)
	hash := f.SHA256
	if hash == "" {
		b, err := index.Download(ctx, p.getter, f.endpoint, f.File)
		if err != nil {
			return source.Artifact{}, err
		}
		hash = fmt.Sprintf("%x", sha256.Sum256(b))
		f.Size = int64(len(b))
	}
	sum, err := source.ParseIntegrity("sha256:" + strings.ToLower(hash))
	if err != nil {
		return source.Artifact{}, fmt.Errorf("hash of %s in the index: %w", f.Name, err)
	}
	return source.Artifact{
		Ecosystem: source.PyPI, Name: c.Name, Version: c.Version.String(), File: f.Name, Integrity: sum, Size: f.Size,
	}, nil
}

// reasons says of which projects nothing could be used, for the error.
func (p *provider) reasons() []string {
	var out []string
	for _, k := range p.known {
		if k.reason != "" {
			out = append(out, k.reason)
		}
	}
	slices.Sort(out)
	return out
}
