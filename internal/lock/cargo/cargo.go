// Package cargo reads Cargo.lock into neutral packages. It is pure: bytes in, values out, every refusal with file, line
// and key. Time and memory are linear in the size of the lock.
//
// It chooses nothing: a lock holds the packages of all platforms and features, and cargo wants to see all of them.
package cargo

import (
	"bytes"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/source"
)

// MinVersion and MaxVersion are the lock formats that Read knows. Version 4 differs from 3 in one thing: branches and
// tags in sources are percent-encoded.
const (
	MinVersion = 3
	MaxVersion = 4
)

// Lock is a whole Cargo.lock.
type Lock struct {
	File     string // for positions
	Version  int
	Packages []Package // in the order of the file: by name, then version, then source
	Unused   []Package // patches that nothing uses; cargo keeps them so that it notices when something does
}

// Package is one locked package: a name, a version and a source are its identity.
type Package struct {
	Name         string
	Version      string
	Source       Source
	Checksum     source.Integrity // of the .crate file; zero where there is none
	Dependencies []int            // indices into Lock.Packages
	Replacement  int              // the index of the package that stands in for this one ([replace]); -1: none
	Pos          diag.Position
}

// String is name and version, for errors.
func (p Package) String() string { return p.Name + " " + p.Version }

// Kind is where a package comes from.
type Kind string

// The kinds of sources that a lock names.
const (
	Path     Kind = ""         // a directory: a member of the workspace, or a path dependency
	Registry Kind = "registry" // a registry whose index is a git repository
	Sparse   Kind = "sparse"   // a registry whose index is asked over HTTP
	Git      Kind = "git"
)

// RefKind says what a person asked for in a git repository.
type RefKind string

// The kinds of references. HEAD, the default, is empty.
const (
	Branch RefKind = "branch"
	Tag    RefKind = "tag"
	Rev    RefKind = "rev"
)

// Source is where a package comes from. It is comparable.
type Source struct {
	Kind   Kind
	URL    string  // of the index or the repository, without query and fragment
	Ref    RefKind // of Git
	RefTo  string  // of Git: the name of the branch or tag, or the revision
	Commit string  // of Git; empty where a dependency names its source
}

// defaultIndexOf has the repositories of git indexes that the makers of Rust keep: `/rust-lang/<registry>-index`. There is
// one, that of the default registry. This is the form by which it is known, since no host is named here; cargo writes one
// fixed line for it, and always as a git index, even where it asks a sparse one or a mirror.
var defaultIndexOf = regexp.MustCompile(`/rust-lang/[^/]+-index$`)

// Default says that s is the registry that cargo uses where nothing else is said. In a lock whose hosts were replaced by
// identities, which nobody dials, any git index stands for it.
func (s Source) Default() bool {
	return s.Kind == Registry && (defaultIndexOf.MatchString(s.URL) || s.Identity())
}

// Identity says that the host is one below .example: a name in the place of an address.
func (s Source) Identity() bool {
	u, err := url.Parse(s.URL)
	return err == nil && strings.HasSuffix(u.Hostname(), ".example")
}

// Remote says that the package's files are not beside the lock.
func (s Source) Remote() bool { return s.Kind != Path }

// String is the source as a person reads it, without the commit: the name that cargo's configuration has for it.
func (s Source) String() string {
	switch s.Kind {
	case Path:
		return "path"
	case Git:
		t := "git+" + s.URL
		if s.Ref != "" {
			t += "?" + string(s.Ref) + "=" + url.QueryEscape(s.RefTo)
		}
		return t
	}
	return string(s.Kind) + "+" + s.URL
}

// Read reads a lock. file names it in errors.
func Read(file string, data []byte) (*Lock, error) {
	l, err := read(file, data)
	var p *diag.Problem
	if errors.As(err, &p) && len(p.Hints) == 0 {
		if bytes.Contains(data, []byte("<<<<<<< ")) {
			p.Hint("this is a conflict of a merge: take one side, then run `cargo update --workspace`")
		} else {
			p.Hint("take the file from before the change, or lock again: `cargo update --workspace` moves as little as it can")
		}
	}
	return l, err
}

func read(file string, data []byte) (*Lock, error) {
	doc, err := tomldoc.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := doc.Cursor(&err)
	l := &Lock{File: file, Version: int(c.Number("version"))}
	if err == nil && (l.Version < MinVersion || l.Version > MaxVersion) {
		return nil, unknownVersion(c, l.Version)
	}
	r := reader{lock: l, sources: map[string]Source{}}
	if v, ok := c.Table().Get("package"); ok {
		l.Packages = make([]Package, 0, len(v.Items))
		r.edges = make([][]string, 0, len(v.Items))
	}
	c.Each("package", r.add)
	r.index(c)
	i := 0
	c.Each("package", func(c tomldoc.Cursor) { r.connect(c, i); i++ })
	if patch, ok := c.Sub("patch"); ok {
		patch.Each("unused", func(c tomldoc.Cursor) {
			p, _ := r.read(c)
			l.Unused = append(l.Unused, p)
		})
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func unknownVersion(c tomldoc.Cursor, v int) error {
	if v > MaxVersion {
		return diag.Inputf("lock-version", "lock format version %d is not known, only %d to %d are", v, MinVersion, MaxVersion).
			At(c.Position("version")).
			Hint("use a newer hewn, or lock again with a cargo that writes version %d", MaxVersion)
	}
	p := diag.Inputf("lock-version", "lock format version %d is too old, only %d to %d are known", v, MinVersion, MaxVersion).
		At(c.Position("version"))
	if !c.Has("version") {
		p.What = "lock format versions 1 and 2, which have no `version`, are too old"
	}
	return p.Hint("run `cargo update --workspace` with cargo 1.53 or newer: it writes the lock anew and moves no version")
}

type identity struct {
	name, version string
	source        Source
}

// reader puts a lock together in two passes, since a dependency may be named before it stands.
type reader struct {
	lock    *Lock
	edges   [][]string
	sources map[string]Source // each text is parsed once: a lock has a handful of them

	byName    map[string][]int
	byVersion map[[2]string][]int
	byID      map[identity]int
	found     map[string]int // what a dependency's text stands for
}

func (r *reader) add(c tomldoc.Cursor) {
	p, deps := r.read(c)
	r.lock.Packages, r.edges = append(r.lock.Packages, p), append(r.edges, deps)
}

func (r *reader) read(c tomldoc.Cursor) (Package, []string) {
	p := Package{Name: c.Need("name"), Replacement: -1}
	c = c.Named("package." + p.Name)
	p.Pos = c.Position("")
	p.Version = c.Need("version")
	if c.OK() && !validName(p.Name) {
		c.Fail("name", "%q cannot be the name of a package", p.Name)
	}
	if c.OK() && !validVersion(p.Version) {
		c.Fail("version", "%q is not a version", p.Version)
	}
	if text := c.Text("source"); text != "" {
		p.Source = r.source(c, "source", text)
		if c.OK() && p.Source.Kind == Git && p.Source.Commit == "" {
			c.Fail("source", "names no commit: after `#` there must be one of 40 hex digits")
		}
	}
	switch sum := c.Text("checksum"); {
	case sum == "":
	case p.Source.Kind == Git || p.Source.Kind == Path:
		c.Fail("checksum", "only packages from a registry have a checksum")
	default:
		var err error
		if p.Checksum, err = source.ParseIntegrity("sha256:" + sum); err != nil || sum != strings.ToLower(sum) {
			c.Fail("checksum", "%q is not a SHA-256, which has 64 digits in lower case", sum)
		}
	}
	return p, c.Texts("dependencies")
}

// source reads `kind+url?ref=name#commit`.
func (r *reader) source(c tomldoc.Cursor, key, text string) Source {
	if s, ok := r.sources[text]; ok {
		return s
	}
	kind, rest, ok := strings.Cut(text, "+")
	s := Source{Kind: Kind(kind)}
	if !ok || s.Kind != Registry && s.Kind != Sparse && s.Kind != Git {
		c.Fail(key, "the source %q is of a kind that is not known", text)
		return s
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	where, query, _ := strings.Cut(rest, "?")
	if u, err := url.Parse(where); err != nil || u.Scheme == "" {
		c.Fail(key, "the source %q is not a URL", text)
		return s
	}
	s.URL = where
	if s.Kind == Git {
		s.Ref, s.RefTo = r.reference(query)
		if s.Commit = fragment; fragment != "" && !isCommit(fragment) {
			c.Fail(key, "%q is not a commit of 40 hex digits", fragment)
		}
	}
	r.sources[text] = s
	return s
}

// reference finds what a git source asks for: as cargo has it, the last of branch, tag and rev.
func (r *reader) reference(query string) (kind RefKind, to string) {
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if r.lock.Version >= 4 {
			if plain, err := url.QueryUnescape(v); err == nil {
				v = plain
			}
		}
		switch RefKind(k) {
		case Branch, Tag, Rev:
			kind, to = RefKind(k), v
		case "ref": // what early versions wrote for rev
			kind, to = Rev, v
		}
	}
	return kind, to
}

func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// validName keeps to what every registry accepts: names become parts of paths and URLs.
func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !alnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 128 && s[0] != '-'
}

// validVersion is three numbers with a pre-release and build metadata, by its characters.
func validVersion(s string) bool {
	core := s
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		core = s[:i]
	}
	if strings.Count(core, ".") != 2 || strings.Trim(core, "0123456789.") != "" || strings.Contains("."+core+".", "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !alnum(c) && c != '.' && c != '-' && c != '+' {
			return false
		}
	}
	return len(s) <= 256
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// index makes every look-up cheap, however many packages share a name: reading stays linear.
func (r *reader) index(c tomldoc.Cursor) {
	r.byName = make(map[string][]int, len(r.lock.Packages))
	r.byVersion = make(map[[2]string][]int, len(r.lock.Packages))
	r.byID = make(map[identity]int, len(r.lock.Packages))
	r.found = map[string]int{}
	for i, p := range r.lock.Packages {
		id := identity{p.Name, p.Version, p.Source}
		id.source.Commit = "" // a repository is there in one state only
		if _, twice := r.byID[id]; twice && c.OK() {
			c.Named("package."+p.Name).Fail("", "package `%s` stands twice with the same version and source", p.Name)
		}
		r.byID[id] = i
		r.byName[p.Name] = append(r.byName[p.Name], i)
		r.byVersion[[2]string{p.Name, p.Version}] = append(r.byVersion[[2]string{p.Name, p.Version}], i)
	}
}

// connect turns the names of what package i depends on into indices.
func (r *reader) connect(c tomldoc.Cursor, i int) {
	p := &r.lock.Packages[i]
	c = c.Named("package." + p.Name)
	if len(r.edges[i]) > 0 {
		p.Dependencies = make([]int, 0, len(r.edges[i]))
	}
	for _, text := range r.edges[i] {
		p.Dependencies = append(p.Dependencies, r.find(c, "dependencies", text))
	}
	if text := c.Text("replace"); text != "" {
		p.Replacement = r.find(c, "replace", text)
	}
}

// find looks up `name`, `name version` or `name version (source)`: cargo writes as much as it takes to tell packages
// apart. What is ambiguous without a source is the path package among its namesakes.
func (r *reader) find(c tomldoc.Cursor, key, text string) int {
	if !c.OK() {
		return -1
	}
	if i, ok := r.found[text]; ok {
		return i
	}
	name, rest, _ := strings.Cut(text, " ")
	version, rest, named := strings.Cut(rest, " ")
	var list []int
	switch {
	case named:
		src := r.source(c, key, strings.TrimSuffix(strings.TrimPrefix(rest, "("), ")"))
		src.Commit = ""
		if i, ok := r.byID[identity{name, version, src}]; ok {
			list = []int{i}
		}
	case version != "":
		list = r.byVersion[[2]string{name, version}]
	default:
		list = r.byName[name]
	}
	if len(list) > 1 {
		if paths := r.onlyPaths(list); len(paths) == 1 {
			list = paths
		}
	}
	switch len(list) {
	case 1:
		r.found[text] = list[0]
		return list[0]
	case 0:
		c.Fail(key, "`%s` is none of the lock's packages", text)
	default:
		c.Fail(key, "`%s` could be any of %d packages", text, len(list))
	}
	return -1
}

func (r *reader) onlyPaths(list []int) (paths []int) {
	for _, i := range list {
		if r.lock.Packages[i].Source.Kind == Path {
			paths = append(paths, i)
		}
	}
	return paths
}
