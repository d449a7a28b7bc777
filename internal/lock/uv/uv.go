// Package uv reads uv.lock into neutral packages. It is pure: bytes in, values out, every refusal with file, line and
// key. It does not choose anything; which packages and files an environment needs is for package python.
package uv

import (
	"net/url"
	"path"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/source"
)

// Version is the lock format that Read knows. Revisions of it are compatible by uv's promise: what a later one adds
// may be ignored.
const Version = 1

// Lock is a whole uv.lock.
type Lock struct {
	File              string                   // for positions
	At                map[string]diag.Position // of RequiresPython and the markers, by their keys
	Revision          int
	RequiresPython    string     // a PEP 440 specifier
	ResolutionMarkers []string   // the forks of the resolution, each a marker; empty: one resolution for all
	SupportedMarkers  []string   // the platforms that it was made for; empty: all
	Conflicts         [][]Choice // each a set of extras or groups of which at most one may be chosen
	Constraints       []Requirement
	Overrides         []Requirement
	Members           []string  // names of the workspace's packages; empty where the root package is alone
	Packages          []Package // in the order of the file: by name, then version
}

// Choice is an extra or a group of a package, or (with both empty) the package itself.
type Choice struct{ Package, Extra, Group string }

// Package is one locked package: a name, a version and a source are its identity.
type Package struct {
	Name              string // normalised
	Version           string // empty where it is dynamic (a directory whose backend computes it)
	Source            Source
	ResolutionMarkers []string // the forks in which the package occurs; empty: all
	Dependencies      []Dependency
	Optional          map[string][]Dependency // by extra
	Groups            map[string][]Dependency // by dependency group
	Sdist             *File
	Wheels            []File
	Requires          []Requirement            // what the package's own manifest asked for when it was locked; of local sources only
	RequiresGroups    map[string][]Requirement // the same by dependency group
	Pos               diag.Position
}

// Requirement is a line of a manifest, as the lock remembers it.
type Requirement struct {
	Name      string
	Extras    []string
	Specifier string
	Marker    string // PEP 508, with the variable `extra`; empty: always
	// Place is where it is from, if not an index: `git REV`, `url FILE` or `path PATH`. The specifier is not kept then.
	Place string
	Pos   diag.Position
}

// Kind is where a package comes from.
type Kind string

// The kinds of sources that uv writes.
const (
	Registry  Kind = "registry"
	Git       Kind = "git"
	URL       Kind = "url"
	Path      Kind = "path"      // an archive on disk
	Directory Kind = "directory" // a directory on disk, installed by copying
	Editable  Kind = "editable"  // a directory on disk, installed as a link to it
	Virtual   Kind = "virtual"   // a directory that is not installed, only its dependencies are
)

// kinds in the order in which a source table is searched.
var kinds = [...]Kind{Registry, Git, URL, Path, Directory, Editable, Virtual}

// Source is where a package comes from. Location is the registry, the repository without query and fragment, the URL,
// or the path relative to the lock. It is comparable.
type Source struct {
	Kind         Kind
	Location     string
	Rev          string // of Git: what a person asked for (rev, tag or branch); may be empty
	Commit       string // of Git
	Subdirectory string // of Git and URL
}

// Local says that the package's source is a directory beside the lock.
func (s Source) Local() bool { return s.Kind == Directory || s.Kind == Editable || s.Kind == Virtual }

// String is kind and location, for errors.
func (s Source) String() string { return string(s.Kind) + " " + s.Location }

// Dependency points at locked packages. Version and Source are set only where the name alone is ambiguous.
type Dependency struct {
	Name    string
	Version string
	Source  Source // zero: not given
	Extras  []string
	Marker  string // PEP 508; empty: always
	Pos     diag.Position
}

// File is an artifact of a package.
type File struct {
	Name       string // the file's name
	URL        string // or a path relative to the lock; empty: the index knows it by its name
	Integrity  source.Integrity
	Size       int64  // 0: not known
	UploadTime string // RFC 3339, where the index told it
	Pos        diag.Position
}

// Local says that the file lies beside the lock. It may have no hash: the source that it is part of is pinned.
func (f *File) Local() bool { return f.URL != "" && !strings.Contains(f.URL, "://") }

// Find gives the packages of a name, in the lock's order.
func (l *Lock) Find(name string) []*Package {
	var out []*Package
	for i := range l.Packages {
		if l.Packages[i].Name == name {
			out = append(out, &l.Packages[i])
		}
	}
	return out
}

// Root is the package whose source is the lock's own directory, or nil.
func (l *Lock) Root() *Package {
	for i := range l.Packages {
		if p := &l.Packages[i]; p.Source.Local() && p.Source.Location == "." {
			return p
		}
	}
	return nil
}

// Read reads a lock. file names it in errors.
func Read(file string, data []byte) (*Lock, error) {
	doc, err := tomldoc.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := doc.Cursor(&err)
	l := &Lock{File: file, At: c.Positions("requires-python", "resolution-markers", "supported-markers", "manifest")}
	if v := c.Number("version"); c.OK() && v != Version {
		return nil, unknownVersion(c, v)
	}
	l.Revision = int(c.Number("revision"))
	l.RequiresPython = c.Text("requires-python")
	l.ResolutionMarkers = c.Texts("resolution-markers")
	l.SupportedMarkers = c.Texts("supported-markers")
	l.Conflicts = conflicts(c)
	if m, ok := c.Sub("manifest"); ok {
		l.Members = m.Texts("members")
		l.Constraints, l.Overrides = requirements(m, "constraints"), requirements(m, "overrides")
	}
	if v, ok := c.Table().Get("package"); ok {
		l.Packages = make([]Package, 0, len(v.Items))
	}
	seen := map[identity]bool{}
	c.Each("package", func(c tomldoc.Cursor) {
		p := readPackage(c)
		id := identity{p.Name, p.Version, p.Source}
		if seen[id] {
			c.Named("package."+p.Name).Fail("", "package `%s` stands twice with the same version and source", p.Name)
		}
		seen[id] = true
		l.Packages = append(l.Packages, p)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

type identity struct {
	name, version string
	source        Source
}

func unknownVersion(c tomldoc.Cursor, v int64) error {
	p := diag.Inputf("lock-version", "lock format version %d is not known, only %d is", v, Version).At(c.Position("version"))
	if !c.Has("version") {
		p.What = "`version` is missing: this is no uv.lock"
	}
	return p.Hint("lock again with a uv that writes version %d, or use a newer hewn", Version)
}

// conflicts reads the list of lists, which no Cursor method covers.
func conflicts(c tomldoc.Cursor) [][]Choice {
	v, ok := c.Table().Get("conflicts")
	if !ok {
		return nil
	}
	const want = "must be a list of lists of tables"
	if v.Kind != tomldoc.List {
		c.Fail("conflicts", want)
	}
	var out [][]Choice
	for _, set := range v.Items {
		var choices []Choice
		if set.Kind != tomldoc.List {
			c.Fail("conflicts", want)
		}
		for _, item := range set.Items {
			if item.Kind != tomldoc.Object {
				c.Fail("conflicts", want)
				return nil
			}
			text := func(key string) string {
				v, _ := item.Table.Get(key)
				return v.Str
			}
			choices = append(choices, Choice{Package: text("package"), Extra: text("extra"), Group: text("group")})
		}
		out = append(out, choices)
	}
	return out
}

func readPackage(c tomldoc.Cursor) Package {
	p := Package{Name: Name(c)}
	c = c.Named("package." + p.Name)
	p.Pos = c.Position("")
	p.Version = c.Text("version")
	p.ResolutionMarkers = c.Texts("resolution-markers")
	s, ok := c.Sub("source")
	if !ok {
		c.Fail("source", "package `%s` has no `source`", p.Name)
		return p
	}
	p.Source = readSource(s, true)
	if p.Version == "" && (p.Source.Kind == Registry) {
		c.Fail("version", "package `%s` has no `version`", p.Name)
	}
	p.Dependencies = dependencies(c, "dependencies")
	p.Optional = lists(c, "optional-dependencies")
	p.Groups = lists(c, "dev-dependencies")
	if m, ok := c.Sub("metadata"); ok {
		p.Requires = requirements(m, "requires-dist")
		if g, ok := m.Sub("requires-dev"); ok {
			p.RequiresGroups = make(map[string][]Requirement, g.Table().Len())
			for _, name := range g.Table().Keys() {
				p.RequiresGroups[name] = requirements(g, name)
			}
		}
	}
	if s, ok := c.Sub("sdist"); ok {
		f := readFile(s, p.Source)
		p.Sdist = &f
	}
	c.Each("wheels", func(c tomldoc.Cursor) {
		f := readFile(c, p.Source)
		if c.OK() && !strings.HasSuffix(f.Name, ".whl") {
			c.Fail("url", "%q is not the name of a wheel", f.Name)
		}
		p.Wheels = append(p.Wheels, f)
	})
	return p
}

func requirements(c tomldoc.Cursor, key string) []Requirement {
	var out []Requirement
	c.Each(key, func(c tomldoc.Cursor) { out = append(out, readRequirement(c)) })
	return out
}

func readRequirement(c tomldoc.Cursor) Requirement {
	r := Requirement{Name: Name(c), Extras: c.Texts("extras"), Specifier: c.Text("specifier"), Marker: c.Text("marker"), Pos: c.Position("")}
	for _, k := range kinds[1:] { // all but the registry
		if !c.Has(string(k)) {
			continue
		}
		s := readSource(c, false)
		switch k {
		case Git:
			r.Place = "git " + s.Rev
		case URL:
			r.Place = "url " + LastName(s.Location)
		default:
			r.Place = "path " + path.Clean(s.Location)
		}
		break
	}
	return r
}

// Name reads the name of a package, in whatever spelling.
func Name(c tomldoc.Cursor) string {
	text := c.Need("name")
	n := Normalise(text)
	if !Normalised(n) {
		c.Fail("name", "%q is no name of a package", text)
	}
	return n
}

// Normalise gives a name the form of PEP 503.
func Normalise(name string) string {
	if Normalised(name) {
		return name
	}
	var b strings.Builder
	dash := false
	for _, c := range strings.ToLower(name) {
		if c == '-' || c == '_' || c == '.' {
			dash = true
			continue
		}
		if dash {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(c)
	}
	if dash {
		b.WriteByte('-')
	}
	return b.String()
}

// Normalised says that a name has the form of PEP 503 that locks write; it ends up in paths and URLs.
func Normalised(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' || i == 0 || i == len(name)-1 || name[i-1] == '-') {
			return false
		}
	}
	return true
}

// readSource reads a source table. full says that it is a package's own, which must pin a commit.
func readSource(c tomldoc.Cursor, full bool) Source {
	for _, k := range kinds {
		if !c.Has(string(k)) {
			continue
		}
		s := Source{Kind: k, Location: c.Text(string(k)), Subdirectory: c.Text("subdirectory")}
		if k == Git {
			splitGit(c, &s, full)
		}
		if s.Location == "" {
			c.Fail(string(k), "is empty")
		}
		return s
	}
	c.Fail("", "the source is of a kind that is not known (it has %s)", strings.Join(c.Table().Keys(), ", "))
	return Source{}
}

// splitGit takes `https://host/repo?rev=v1&subdirectory=a#<commit>` apart.
func splitGit(c tomldoc.Cursor, s *Source, full bool) {
	u, err := url.Parse(s.Location)
	if err != nil {
		c.Fail("git", "is not a URL: %v", err)
		return
	}
	q := u.Query()
	for _, k := range [...]string{"rev", "tag", "branch"} {
		if v := q.Get(k); v != "" {
			s.Rev = v
		}
	}
	s.Subdirectory = q.Get("subdirectory")
	s.Commit = u.Fragment
	u.RawQuery, u.Fragment = "", ""
	s.Location = u.String()
	if full && !IsCommit(s.Commit) {
		c.Fail("git", "the part after `#` must be a commit of 40 hex digits, but is %q", s.Commit)
	}
}

// IsCommit says that s is the full name of a git commit.
func IsCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func lists(c tomldoc.Cursor, key string) map[string][]Dependency {
	sub, ok := c.Sub(key)
	if !ok {
		return nil
	}
	out := make(map[string][]Dependency, sub.Table().Len())
	for _, k := range sub.Table().Keys() {
		out[k] = dependencies(sub, k)
	}
	return out
}

func dependencies(c tomldoc.Cursor, key string) []Dependency {
	var out []Dependency
	c.Each(key, func(c tomldoc.Cursor) {
		d := Dependency{Name: Name(c), Version: c.Text("version"), Marker: c.Text("marker"), Extras: c.Texts("extra"), Pos: c.Position("")}
		if s, ok := c.Sub("source"); ok {
			d.Source = readSource(s, false)
		}
		out = append(out, d)
	})
	return out
}

// readFile reads a wheel or sdist. What comes from outside must have a hash: it is the only thing that it is checked by.
func readFile(c tomldoc.Cursor, s Source) File {
	f := File{URL: c.Text("url"), Name: c.Text("filename"), Size: c.Number("size"), UploadTime: c.Text("upload-time"), Pos: c.Position("")}
	if f.URL == "" && c.Has("path") {
		f.URL = c.Text("path")
		if s.Kind == Registry && f.Local() && !path.IsAbs(f.URL) { // a directory of files, which the path is relative to
			f.URL = path.Join(s.Location, f.URL)
		}
	}
	if f.URL == "" && (s.Kind == URL || s.Kind == Path) {
		f.URL = s.Location
	}
	if f.Name == "" {
		f.Name = LastName(f.URL)
	}
	if c.OK() && (f.Name == "" || strings.ContainsAny(f.Name, "/\\\x00") || f.Name == "." || f.Name == "..") {
		c.Fail("", "the file has no usable name: neither `url`, `path` nor `filename` gives one")
	}
	hash := c.Text("hash")
	if hash == "" && s.Kind == Registry && f.Local() {
		return f
	}
	if hash == "" {
		c.FailHint("the index that was locked from gives no hashes: lock from one that does, or put the files into the source, as `path` or as a directory of files",
			"", "`%s` has no `hash`, so that nothing says which bytes are meant", f.Name)
		return f
	}
	f.Integrity = Hash(c, "hash", hash, f.Name)
	return f
}

// Hash reads the hash of a file, of a kind that nobody can forge.
func Hash(c tomldoc.Cursor, key, text, file string) source.Integrity {
	alg, _, ok := strings.Cut(text, ":")
	if a := source.Algorithm(alg); ok && a != source.SHA256 && a != source.SHA512 {
		c.Fail(key, "a hash of kind %s is not accepted for `%s`, want sha256", alg, file)
		return source.Integrity{}
	}
	sum, err := source.ParseIntegrity(text)
	if err != nil {
		c.Fail(key, "%v", err)
	}
	return sum
}

// LastName is the last name of a URL's or path's path, unescaped.
func LastName(u string) string {
	if i := strings.IndexAny(u, "?#"); i >= 0 && strings.Contains(u, "://") {
		u = u[:i]
	}
	u = u[strings.LastIndexByte(u, '/')+1:]
	if n, err := url.PathUnescape(u); err == nil {
		return n
	}
	return u
}
