package python

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/pylock"
	"hewn.example/hewn/internal/lock/requirements"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// The locks that an environment is made from: the first that the source has.
const (
	uvLock     = "uv.lock"
	poetryLock = "poetry.lock"
	pyLock     = "pylock.toml"
	reqsFile   = "requirements.txt"
)

// readLock reads the first lock that the source has and selects from it.
func (v *venv) readLock(ctx context.Context, r Request) ([]Selected, error) {
	for _, kind := range [...]struct {
		file string
		read func(context.Context, []byte, Request) ([]Selected, error)
	}{{uvLock, v.readUV}, {poetryLock, v.readPoetry}, {pyLock, readPylock}, {reqsFile, v.readRequirements}} {
		data, err := v.ask.Read(ctx, v.Source, kind.file)
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		v.lockFile = kind.file
		return kind.read(ctx, data, r)
	}
	return nil, diag.Inputf("no-lock", "the source has no %s, %s, %s or %s to install from", uvLock, poetryLock, pyLock, reqsFile)
}

func (v *venv) readUV(ctx context.Context, data []byte, r Request) ([]Selected, error) {
	lock, err := uv.Read(uvLock, data)
	if err != nil {
		return nil, err
	}
	if err := checkLock(lock); err != nil {
		return nil, err
	}
	if err := v.checkManifests(ctx, lock); err != nil {
		return nil, err
	}
	return Select(lock, r)
}

func readPylock(_ context.Context, data []byte, r Request) ([]Selected, error) {
	lock, err := pylock.Read(pyLock, data)
	if err != nil {
		return nil, err
	}
	return SelectPylock(lock, r)
}

// SelectPylock gives what an environment needs of a pylock.toml, sorted by name: the packages whose markers hold.
func SelectPylock(l *pylock.Lock, r Request) ([]Selected, error) {
	env, err := pep508.CPython(r.Python, r.Platform)
	if err != nil {
		return nil, err
	}
	if err := checkHas(l, "extra", r.Extras, l.Extras); err != nil {
		return nil, err
	}
	if err := checkHas(l, "dependency group", r.Groups, slices.Concat(l.Groups, l.DefaultGroups)); err != nil {
		return nil, err
	}
	env = env.With(normalised(r.Extras)...)
	env.Groups = normalised(slices.Concat(l.DefaultGroups, r.Groups))
	if err := checkPython("the lock", l.RequiresPython, l.At["requires-python"], r.Python); err != nil {
		return nil, err
	}
	if err := checkEnvironments(l.Environments, l.At["environments"], env, r); err != nil {
		return nil, err
	}
	var wanted []*uv.Package
	for i := range l.Packages {
		p := &l.Packages[i]
		m, err := pep508.ParseMarker(p.Marker)
		if err != nil {
			return nil, diag.Inputf("bad-file", "marker of `%s`: %v", p.Name, err).At(p.Pos)
		}
		if !m.Holds(env) {
			continue
		}
		if err := checkPackagePython(p, r.Python); err != nil {
			return nil, err
		}
		wanted = append(wanted, &p.Package)
	}
	return chooseAll(wanted, r)
}

func checkHas(l *pylock.Lock, what string, wanted, have []string) error {
	for _, x := range wanted {
		if !slices.Contains(normalised(have), pep508.Normalise(x)) {
			return diag.Inputf("bad-request", "the lock has no %s `%s`", what, x).At(diag.Position{File: l.File}).
				Hint("it has: %s", cmp.Or(strings.Join(have, ", "), "none"))
		}
	}
	return nil
}

func normalised(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = pep508.Normalise(n)
	}
	return out
}

// checkEnvironments refuses a lock that was made for other platforms only.
func checkEnvironments(markers []string, at diag.Position, env pep508.Environment, r Request) error {
	for _, text := range markers {
		m, err := pep508.ParseMarker(text)
		if err != nil {
			return diag.Inputf("bad-file", "%v", err).At(at)
		}
		if m.Holds(env) {
			return nil
		}
	}
	if len(markers) == 0 {
		return nil
	}
	return diag.Inputf("bad-request", "the lock is not for Python %s on %s", r.Python, r.Platform).At(at).Hint("it is for: %s", strings.Join(markers, "; "))
}

func checkPackagePython(p *pylock.Package, full string) error {
	spec, err := pep440.ParseSpecifiers(p.RequiresPython)
	if err != nil {
		return diag.Inputf("bad-file", "`requires-python` of `%s`: %v", p.Name, err).At(p.Pos)
	}
	v, err := pep440.Parse(full)
	if err == nil && !spec.Match(v) {
		err = diag.Inputf("python-version", "`%s` is for Python %s, but the root has Python %s", p.Name, p.RequiresPython, full).At(p.Pos)
	}
	return err
}

// chooseAll picks the file to install of every package and refuses two of one name.
func chooseAll(packages []*uv.Package, r Request) ([]Selected, error) {
	ranks, err := wheel.NewRanks(wheel.Target{Python: r.Python, Platform: r.Platform, Libc: r.Libc})
	if err != nil {
		return nil, err
	}
	var out []Selected
	for _, p := range packages {
		sel := Selected{Package: p}
		if sel.Wheel, err = choose(p, ranks, r); err != nil {
			return nil, err
		}
		if sel.Wheel != nil && p.Version != "" { // a version that a person edited must not stand for other bytes
			v, err := pep440.Parse(p.Version)
			if err != nil {
				return nil, diag.Inputf("bad-file", "`%s`: %v", p.Name, err).At(p.Pos)
			}
			if err := checkWheel(p, v, sel.Wheel); err != nil {
				return nil, err
			}
		}
		if sel.Wheel != nil {
			if name, err := wheel.ParseFileName(sel.Wheel.Name); err != nil || name.Name != p.Name {
				return nil, diag.Inputf("bad-file", "`%s` is no wheel of `%s`", sel.Wheel.Name, p.Name).At(sel.Wheel.Pos)
			}
		}
		out = append(out, sel)
	}
	slices.SortStableFunc(out, func(a, b Selected) int { return cmp.Compare(a.Name, b.Name) })
	return out, checkOne(out)
}

// readRequirements selects what a requirements.txt lists. The file knows hashes but not the files that have them: which
// file it is to be for this platform is a question to the pins.
func (v *venv) readRequirements(ctx context.Context, data []byte, r Request) ([]Selected, error) {
	at := diag.Position{File: reqsFile}
	if len(r.Extras)+len(r.Groups) > 0 {
		return nil, diag.Inputf("bad-request", "%s has neither extras nor dependency groups", reqsFile).At(at)
	}
	f, err := requirements.Read(reqsFile, data)
	if err != nil {
		return nil, err
	}
	files, err := v.includes(ctx, f)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(files, func(i included) bool { return !i.constraint && i.Hashed() }) {
		return v.openRequirements(ctx, files, r)
	}
	var all []requirements.Requirement
	for _, i := range files {
		if i.constraint {
			return nil, diag.Inputf("bad-file", "requirements with hashes cannot have the constraints of `%s`", i.Name).At(i.by).
				Hint("their versions are bound already: take the line out")
		}
		r.NoBinary, r.NoBinaryAll = addNames(r.NoBinary, r.NoBinaryAll, i.NoBinary)
		r.NoBuild, r.NoBuildAll = addNames(r.NoBuild, r.NoBuildAll, i.OnlyBinary)
		all = append(all, i.Requirements...)
	}
	var out []*uv.Package
	for _, req := range all {
		p, err := v.requirement(ctx, req, r)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, p)
		}
	}
	return chooseAll(out, r)
}

func addNames(list []string, all bool, more []string) ([]string, bool) {
	for _, n := range more {
		switch n {
		case ":all:":
			all = true
		case ":none:":
			list, all = nil, false
		default:
			list = append(list, pep508.Normalise(n))
		}
	}
	return list, all
}

// requirement is the package of one line, nil where its marker does not hold.
func (v *venv) requirement(ctx context.Context, req requirements.Requirement, r Request) (*uv.Package, error) {
	if req.Path() {
		return v.pathRequirement(ctx, req)
	}
	pr, err := pep508.Parse(req.Text)
	if err != nil {
		return nil, diag.Inputf("bad-file", "%v", err).At(req.Pos)
	}
	if !pr.Marker.Holds(v.env) {
		return nil, nil
	}
	p := &uv.Package{Name: pr.Name, Pos: req.Pos}
	if pr.URL != "" {
		return p, urlRequirement(p, pr.URL, req)
	}
	pinned, ok := pr.Specifiers.Pinned()
	if !ok {
		return nil, diag.Inputf("bad-file", "`%s` is not pinned with `==`", pr.Name).At(req.Pos).Hint(hashAll)
	}
	if len(req.Hashes) == 0 {
		return nil, errNoHash(req)
	}
	p.Version, p.Source = pinned.String(), uv.Source{Kind: uv.Registry}
	file, err := v.pinnedFile(ctx, p, req.Hashes, r)
	if err != nil {
		return nil, err
	}
	addFile(p, file)
	return p, nil
}

func errNoHash(req requirements.Requirement) error {
	return diag.Inputf("bad-file", "`%s` has no `--hash`, so that nothing says which bytes are meant", req.Text).At(req.Pos).
		Hint(hashAll)
}

const hashAll = "as soon as one line has a hash, every line needs a version and hashes: write the file with `uv pip compile --generate-hashes`"

func addFile(p *uv.Package, f uv.File) {
	if strings.HasSuffix(f.Name, ".whl") {
		p.Wheels = []uv.File{f}
	} else {
		p.Sdist = &f
	}
}

// urlRequirement is `name @ URL`: an archive with one hash, or a commit of a git repository.
func urlRequirement(p *uv.Package, text string, req requirements.Requirement) error {
	location, fragment, _ := strings.Cut(text, "#")
	p.Source.Subdirectory = fragmentValue(fragment, "subdirectory")
	if repo, ok := strings.CutPrefix(location, "git+"); ok {
		i := strings.LastIndexByte(repo, '@')
		if i < 0 || !uv.IsCommit(repo[i+1:]) {
			return diag.Inputf("bad-file", "`%s` must end with `@` and a commit of 40 hex digits", location).At(req.Pos)
		}
		p.Source.Kind, p.Source.Location, p.Source.Commit, p.Source.Rev = uv.Git, repo[:i], repo[i+1:], repo[i+1:]
		return nil
	}
	if sum, err := source.ParseIntegrity("sha256:" + fragmentValue(fragment, "sha256")); err == nil && len(req.Hashes) == 0 {
		req.Hashes = append(req.Hashes, sum)
	}
	if len(req.Hashes) != 1 {
		return errNoHash(req)
	}
	p.Source.Kind, p.Source.Location = uv.URL, location
	addFile(p, uv.File{Name: uv.LastName(location), URL: location, Integrity: req.Hashes[0], Pos: req.Pos})
	return nil
}

// pathRequirement is a directory or an archive in the source.
func (v *venv) pathRequirement(ctx context.Context, req requirements.Requirement) (*uv.Package, error) {
	text, marker, _ := strings.Cut(req.Text, " ;")
	m, err := pep508.ParseMarker(marker)
	if err != nil {
		return nil, diag.Inputf("bad-file", "%v", err).At(req.Pos)
	}
	if !m.Holds(v.env) {
		return nil, nil
	}
	at := path.Clean(strings.TrimSpace(text))
	p := &uv.Package{Name: path.Base(at), Pos: req.Pos, Source: uv.Source{Kind: uv.Directory, Location: at}}
	dir, err := inside(at, Selected{Package: p})
	if err != nil {
		return nil, err
	}
	if name, version, ok := fileName(path.Base(at)); ok && !req.Editable {
		p.Name, p.Version, p.Source.Kind = name, version, uv.Path
		f := uv.File{Name: path.Base(at), URL: at, Pos: req.Pos}
		if len(req.Hashes) > 0 {
			f.Integrity = req.Hashes[0]
		}
		addFile(p, f)
		return p, sameName(p, req)
	}
	if req.Editable {
		p.Source.Kind = uv.Editable
	}
	project, err := readProject(ctx, v.ask, v.Source, dir, "")
	if err != nil {
		return nil, err
	}
	if p.Name = project.name; p.Name == "" {
		return nil, diag.Inputf("bad-file", "`%s` is neither a wheel nor a directory whose pyproject.toml gives a name", at).At(req.Pos)
	}
	return p, sameName(p, req)
}

// sameName refuses a path that has a name beside it, which is another's.
func sameName(p *uv.Package, req requirements.Requirement) error {
	if req.Name == "" || pep508.Normalise(req.Name) == p.Name {
		return nil
	}
	return diag.Inputf("bad-file", "`%s` is `%s`, not `%s`", p.Source.Location, p.Name, req.Name).At(req.Pos)
}

// fileName takes the name of a wheel or of an sdist apart.
func fileName(file string) (name, version string, ok bool) {
	if f, err := wheel.ParseFileName(file); err == nil {
		return f.Name, f.Version, true
	}
	for _, ext := range [...]string{".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"} {
		stem, isArchive := strings.CutSuffix(file, ext)
		i := strings.LastIndexByte(stem, '-')
		if !isArchive || i <= 0 {
			continue
		}
		if _, err := pep440.Parse(stem[i+1:]); err == nil {
			return pep508.Normalise(stem[:i]), stem[i+1:], true
		}
	}
	return "", "", false
}

// pinnedFile asks which of the files with the given hashes is the one for this platform.
func (v *venv) pinnedFile(ctx context.Context, p *uv.Package, hashes []source.Integrity, r Request) (uv.File, error) {
	request := []string{"python " + v.minor}
	if v.Libc != "" {
		request = append(request, "libc "+v.Libc)
	}
	if r.NoBinaryAll || slices.Contains(r.NoBinary, p.Name) {
		request = append(request, "no-binary")
	}
	var sums []string
	for _, h := range hashes {
		sums = append(sums, "hash "+h.String())
	}
	slices.Sort(sums)
	request = append(request, "file "+p.Name+"=="+p.Version)
	q := pins.Question{Ecosystem: source.PyPI, Set: "file/" + p.Name + "@" + p.Version, Platform: v.ask.Platform(), Request: append(request, slices.Compact(sums)...)}
	artifacts, err := v.ask.Artifacts(ctx, q)
	if err != nil {
		return uv.File{}, err
	}
	if len(artifacts) != 1 || !slices.Contains(hashes, artifacts[0].Integrity) {
		return uv.File{}, diag.Inputf("pin-stale", "the pin of `%s` is not one of the files that %s lists", p.Name, reqsFile).At(p.Pos).
			Hint("hewn update --missing")
	}
	a := artifacts[0]
	return uv.File{Name: a.File, Integrity: a.Integrity, Size: a.Size, Pos: p.Pos}, nil
}
