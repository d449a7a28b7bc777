package python

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/requirements"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/python/index"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// openSet is a requirements.txt without hashes, with the files that it includes. What comes from an index is resolved by
// `hewn update`, all at once, and pinned as one set. What comes from elsewhere is read here, so that its requirements
// are resolved with the rest.
type openSet struct {
	*venv
	r        Request
	lines    []pep508.Requirement
	at       map[string]diag.Position // where a line stands, by its text in one spelling
	request  []string                 // the lines of the question that are no requirements
	provided []pep508.Requirement     // by what comes from elsewhere
	direct   []*uv.Package
}

// maxFiles is how many files a requirements.txt may include.
const maxFiles = 100

// included is a requirements.txt, or a file that one includes.
type included struct {
	*requirements.File
	constraint bool          // every line is a constraint
	by         diag.Position // the line that includes it
}

// includes reads the files that f includes, and gives them after f.
func (v *venv) includes(ctx context.Context, f *requirements.File) ([]included, error) {
	out := []included{{File: f}}
	seen := map[string]bool{f.Name: true}
	for n := 0; n < len(out); n++ {
		for _, inc := range out[n].Includes {
			at := path.Join(path.Dir(out[n].Name), inc.Path)
			if path.IsAbs(inc.Path) || at == ".." || strings.HasPrefix(at, "../") {
				return nil, diag.Inputf("bad-file", "`%s` lies outside the source", inc.Path).At(inc.Pos)
			}
			if seen[at] {
				continue
			}
			if seen[at] = true; len(seen) > maxFiles {
				return nil, diag.Inputf("bad-file", "more than %d files include one another", maxFiles).At(inc.Pos)
			}
			data, err := v.ask.Read(ctx, v.Source, at)
			if errors.Is(err, tree.ErrNotExist) {
				return nil, diag.Inputf("bad-file", "the source has no `%s`", at).At(inc.Pos)
			}
			if err != nil {
				return nil, err
			}
			inner, err := requirements.Read(at, data)
			if err != nil {
				return nil, err
			}
			out = append(out, included{inner, out[n].constraint || inc.Constraint, inc.Pos})
		}
	}
	return out, nil
}

// openRequirements selects what files without hashes ask for.
func (v *venv) openRequirements(ctx context.Context, files []included, r Request) ([]Selected, error) {
	s := &openSet{venv: v, r: r, at: map[string]diag.Position{}}
	for _, f := range files {
		if err := s.file(ctx, f); err != nil {
			return nil, err
		}
	}
	packages, err := s.resolved(ctx)
	if err != nil {
		return nil, err
	}
	return chooseAll(append(packages, s.direct...), s.r)
}

// file adds what a file asks for.
func (s *openSet) file(ctx context.Context, f included) error {
	s.r.NoBinary, s.r.NoBinaryAll = addNames(s.r.NoBinary, s.r.NoBinaryAll, f.NoBinary)
	s.r.NoBuild, s.r.NoBuildAll = addNames(s.r.NoBuild, s.r.NoBuildAll, f.OnlyBinary)
	for _, req := range f.Requirements {
		add := s.add
		if f.constraint {
			add = s.constrain
		}
		if err := add(ctx, req); err != nil {
			return err
		}
	}
	return nil
}

// constrain adds a line of a file of constraints.
func (s *openSet) constrain(_ context.Context, req requirements.Requirement) error {
	r, err := pep508.Parse(req.Text)
	switch {
	case req.Path() || err == nil && (r.URL != "" || len(r.Extras) > 0):
		return diag.Inputf("bad-file", "`%s` is no constraint: that is a name with versions", req.Text).At(req.Pos)
	case err != nil:
		return diag.Inputf("bad-file", "%v", err).At(req.Pos)
	case r.Marker.Holds(s.env):
		s.request = append(s.request, "constraint "+r.String())
	}
	return nil
}

// add adds a line of a file of requirements.
func (s *openSet) add(ctx context.Context, req requirements.Requirement) error {
	if req.Path() {
		return s.addPath(ctx, req)
	}
	r, err := pep508.Parse(named(req.Text))
	if err != nil {
		return diag.Inputf("bad-file", "%v", err).At(req.Pos)
	}
	if !r.Marker.Holds(s.env) {
		return nil
	}
	if r.URL == "" {
		s.lines = append(s.lines, r)
		if _, ok := s.at[r.String()]; !ok {
			s.at[r.String()] = req.Pos
		}
		return nil
	}
	p := &uv.Package{Name: r.Name, Pos: req.Pos}
	if strings.HasPrefix(r.URL, "git+") {
		return s.addGit(ctx, p, r)
	}
	return s.addURL(ctx, p, r)
}

// named gives a URL without a name the one that its file, or its `egg`, has.
func named(text string) string {
	u, rest, _ := strings.Cut(text, " ")
	if !strings.Contains(u, "://") {
		return text
	}
	location, fragment, _ := strings.Cut(u, "#")
	name, _, _ := fileName(uv.LastName(location))
	for kv := range strings.SplitSeq(fragment, "&") {
		if k, val, _ := strings.Cut(kv, "="); k == "egg" {
			name = val
		}
	}
	return strings.TrimSpace(name + " @ " + u + " " + rest)
}

// addPath adds a directory or an archive of the source: `./path[extra] ; marker`.
func (s *openSet) addPath(ctx context.Context, req requirements.Requirement) error {
	text, marker, marked := strings.Cut(req.Text, " ;")
	text, list, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(text), "]"), "[")
	var extras []string
	for x := range strings.SplitSeq(list, ",") {
		if x = strings.TrimSpace(x); x != "" {
			extras = append(extras, pep508.Normalise(x))
		}
	}
	if req.Text = text; marked {
		req.Text += " ;" + marker
	}
	p, err := s.pathRequirement(ctx, req)
	if err != nil || p == nil {
		return err
	}
	at := p.Source.Location
	if p.Source.Kind == uv.Path {
		b, err := s.ask.Read(ctx, s.Source, at)
		if errors.Is(err, tree.ErrNotExist) {
			return diag.Inputf("bad-file", "the source has no `%s`", at).At(req.Pos)
		}
		if err != nil {
			return err
		}
		return s.addFile(ctx, p, path.Base(at), b, extras)
	}
	project, err := readProject(ctx, s.ask, s.Source, path.Clean(at), "")
	if err != nil {
		return err
	}
	return s.addProject(p, project, extras)
}

// addGit adds a package of a git repository: a commit, or a tag or branch that `hewn update` turns into one.
func (s *openSet) addGit(ctx context.Context, p *uv.Package, r pep508.Requirement) error {
	location, fragment, _ := strings.Cut(r.URL, "#")
	scheme, rest, _ := strings.Cut(strings.TrimPrefix(location, "git+"), "://")
	rev := "HEAD"
	if i := strings.LastIndexByte(rest, '@'); i > strings.IndexByte(rest, '/') {
		rest, rev = rest[:i], rest[i+1:]
	}
	repo := scheme + "://" + rest
	p.Source = uv.Source{Kind: uv.Git, Location: repo, Rev: rev, Commit: rev, Subdirectory: fragmentValue(fragment, "subdirectory")}
	from := repo
	if s.Origin != nil {
		from = s.Origin(repo)
	}
	if !uv.IsCommit(rev) {
		as, err := s.ask.Artifacts(ctx, pins.Question{Ecosystem: source.Git, Set: "requirements/" + r.Name, Request: []string{"repo " + from, "rev " + rev}})
		if err != nil {
			return err
		}
		if len(as) != 1 || !uv.IsCommit(as[0].File) {
			return stalePin(p)
		}
		p.Source.Commit = as[0].File
	}
	t := engine.Git(source.GitRef{Repo: from, Rev: rev, Commit: p.Source.Commit})
	project, err := readProject(ctx, s.ask, t, path.Clean("/" + p.Source.Subdirectory)[1:], r.Name)
	if err != nil {
		return err
	}
	return s.addProject(p, project, r.Extras)
}

func fragmentValue(fragment, key string) string {
	for kv := range strings.SplitSeq(fragment, "&") {
		if k, val, _ := strings.Cut(kv, "="); k == key {
			return val
		}
	}
	return ""
}

func stalePin(p *uv.Package) error {
	return diag.Inputf("pin-stale", "the pin of `%s` is not what %s asks for", p.Name, reqsFile).At(p.Pos).Hint("hewn update --missing")
}

// addURL adds an archive, whose hash `hewn update` pins.
func (s *openSet) addURL(ctx context.Context, p *uv.Package, r pep508.Requirement) error {
	location, fragment, _ := strings.Cut(r.URL, "#")
	if !strings.HasPrefix(location, "https://") && !strings.HasPrefix(location, "http://") {
		return diag.Inputf("bad-file", "`%s` is no URL of http or https, nor of a git repository", location).At(p.Pos)
	}
	as, err := s.ask.Artifacts(ctx, pins.Question{Ecosystem: source.PyPI, Set: "url/" + r.Name, Platform: s.ask.Platform(), Request: []string{"python " + s.minor, "url " + location}})
	if err != nil {
		return err
	}
	if len(as) != 1 || as[0].Integrity.IsZero() {
		return stalePin(p)
	}
	if want := fragmentValue(fragment, "sha256"); want != "" && want != as[0].Integrity.Hex() {
		return diag.Inputf("bad-file", "the file of `%s` does not have the hash that stands behind its URL", p.Name).At(p.Pos).
			With("expected:  sha256:"+want, "got:       "+as[0].Integrity.String())
	}
	f := uv.File{Name: as[0].File, URL: location, Integrity: as[0].Integrity, Size: as[0].Size, Pos: p.Pos}
	p.Version, p.Source = as[0].Version, uv.Source{Kind: uv.URL, Location: location, Subdirectory: fragmentValue(fragment, "subdirectory")}
	addFile(p, f)
	t, err := s.venv.file(Selected{Package: p}, &f)
	if err != nil {
		return err
	}
	b, err := s.ask.Read(ctx, t, f.Name)
	if err != nil {
		return err
	}
	return s.addFile(ctx, p, f.Name, b, r.Extras)
}

// addFile adds a package whose wheel or sdist says what it needs.
func (s *openSet) addFile(ctx context.Context, p *uv.Package, name string, b []byte, extras []string) error {
	m, err := index.FileMetadata(ctx, name, b)
	if err != nil {
		return diag.Inputf("bad-file", "the metadata of `%s` cannot be used", name).At(p.Pos).Because(err)
	}
	return s.addDirect(p, p.Version, m.Requires, extras)
}

// addProject adds a package whose pyproject.toml says what it needs.
func (s *openSet) addProject(p *uv.Package, project project, extras []string) error {
	at := p.Pos
	if project.name != p.Name || slices.Contains(project.dynamic, "dependencies") || slices.Contains(project.dynamic, "optional-dependencies") {
		return diag.Inputf("bad-file", "what `%s` needs is not in its pyproject.toml: only a build would tell", p.Name).At(at).
			Hint("lock with a tool that runs builds, for example `uv lock` or `uv pip compile --generate-hashes`")
	}
	lines := slices.Clone(project.dependencies)
	for _, x := range extras {
		if _, ok := project.extras[x]; !ok {
			return diag.Inputf("bad-file", "`%s` has no extra `%s`", p.Name, x).At(at)
		}
		lines = append(lines, project.extras[x]...)
	}
	var list []pep508.Requirement
	for _, text := range lines {
		r, err := pep508.Parse(text)
		if err != nil {
			return diag.Inputf("bad-file", "dependencies of `%s`: %v", p.Name, err).At(at)
		}
		list = append(list, r)
	}
	p.Version = project.version
	return s.addDirect(p, project.version, list, extras)
}

// addDirect adds a package that does not come from an index, and what it needs.
func (s *openSet) addDirect(p *uv.Package, version string, needs []pep508.Requirement, extras []string) error {
	s.direct = append(s.direct, p)
	self := p.Name
	if len(extras) > 0 {
		self += "[" + strings.Join(extras, ",") + "]"
	}
	if version != "" {
		self += "==" + version
	}
	provided, err := pep508.Parse(self)
	if err != nil {
		return diag.Inputf("bad-file", "%v", err).At(p.Pos)
	}
	s.provided = append(s.provided, provided)
	s.request = append(s.request, "provided "+self)
	env := s.env.With(extras...)
	for _, r := range needs {
		if r.Marker.Holds(env) {
			s.lines = append(s.lines, r)
		}
	}
	return nil
}

// resolved asks for the packages that come from an index.
func (s *openSet) resolved(ctx context.Context) ([]*uv.Package, error) {
	at := diag.Position{File: reqsFile}
	known := runtime{provided: s.provided}
	lines, err := known.withoutProvided(s.lines)
	if err != nil {
		return nil, diag.Inputf("bad-file", "%v", err).At(at)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	request := s.request
	for _, r := range lines {
		request = append(request, r.String())
	}
	for _, kind := range []struct {
		word  string
		names []string
		all   bool
	}{{"no-binary", s.r.NoBinary, s.r.NoBinaryAll}, {"no-build", s.r.NoBuild, s.r.NoBuildAll}} {
		for _, n := range kind.names {
			request = append(request, kind.word+" "+n)
		}
		if kind.all {
			request = append(request, kind.word+" :all:")
		}
	}
	slices.Sort(request)
	head := []string{"python " + s.minor, "newest"}
	if s.Libc != "" {
		head = append(head, "libc "+s.Libc)
	}
	artifacts, err := s.ask.Artifacts(ctx, pins.Question{Ecosystem: source.PyPI, Set: "requirements/" + reqsFile, Platform: s.ask.Platform(),
		Request: append(head, slices.Compact(request)...)})
	if err != nil {
		return nil, s.blame(err)
	}
	var out []*uv.Package
	for _, a := range artifacts {
		p := &uv.Package{Name: a.Name, Version: a.Version, Source: uv.Source{Kind: uv.Registry}, Pos: at}
		addFile(p, uv.File{Name: a.File, Integrity: a.Integrity, Size: a.Size, Pos: at})
		out = append(out, p)
	}
	return out, nil
}

// blame gives an error about the whole set the line that it speaks of, if that is one of the files'.
func (s *openSet) blame(err error) error {
	var p *diag.Problem
	if !errors.As(err, &p) || p.Pos.File != "" {
		return err
	}
	q := *p
	q.Pos = diag.Position{File: reqsFile}
	text := err.Error() + strings.Join(p.Detail, "\n")
	first := len(text)
	for _, line := range slices.Sorted(maps.Keys(s.at)) {
		if i := strings.Index(text, "`"+line+"`"); i >= 0 && i < first {
			first, q.Pos = i, s.at[line]
		}
	}
	return &q
}
