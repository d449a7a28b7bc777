// Package pylock reads pylock.toml (PEP 751) into the neutral packages of package uv. It is pure: bytes in, values out,
// every refusal with file, line and key. Choosing by markers and tags is for package python.
package pylock

import (
	"path"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/source"
)

// Version is the major version of the format that Read knows. Minor versions may add keys, which are ignored.
const Version = "1"

// Lock is a whole pylock.toml. It has no graph: a package is wanted if its marker holds.
type Lock struct {
	File           string                   // for positions
	At             map[string]diag.Position // of RequiresPython and Environments, by their keys
	RequiresPython string                   // a PEP 440 specifier
	Environments   []string                 // markers, one of which must hold; empty: any environment
	Extras         []string                 // that may be asked for
	Groups         []string                 // that may be asked for
	DefaultGroups  []string                 // that are on without being asked for
	Packages       []Package
}

// Package is a locked package with the conditions under which it is wanted.
type Package struct {
	uv.Package
	Marker         string // with the variables `extras` and `dependency_groups`
	RequiresPython string
}

// Read reads a lock. file names it in errors.
func Read(file string, data []byte) (*Lock, error) {
	doc, err := tomldoc.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := doc.Cursor(&err)
	v := c.Text("lock-version")
	if major, _, _ := strings.Cut(v, "."); c.OK() && major != Version {
		p := diag.Inputf("lock-version", "lock format version %q is not known, only %s is", v, Version).At(c.Position("lock-version"))
		if v == "" {
			p.What = "`lock-version` is missing: this is no pylock.toml"
		}
		return nil, p.Hint("lock again with a tool that writes version %s.0, or use a newer hewn", Version)
	}
	l := &Lock{
		File: file, At: c.Positions("requires-python", "environments"), RequiresPython: c.Text("requires-python"), Environments: c.Texts("environments"), Extras: c.Texts("extras"),
		Groups: c.Texts("dependency-groups"), DefaultGroups: c.Texts("default-groups"),
	}
	c.Each("packages", func(c tomldoc.Cursor) { l.Packages = append(l.Packages, readPackage(c)) })
	if err != nil {
		return nil, err
	}
	return l, nil
}

func readPackage(c tomldoc.Cursor) Package {
	p := Package{Marker: c.Text("marker"), RequiresPython: c.Text("requires-python")}
	p.Name, p.Version = uv.Name(c), c.Text("version")
	c = c.Named("packages." + p.Name)
	p.Pos = c.Position("")
	found := 0
	for _, kind := range [...]struct {
		key  string
		read func(tomldoc.Cursor, *Package)
	}{{"vcs", readVCS}, {"directory", readDirectory}, {"archive", readArchive}} {
		if sub, ok := c.Sub(kind.key); ok {
			kind.read(sub, &p)
			found++
		}
	}
	if c.Has("sdist") || c.Has("wheels") {
		found++
		readIndex(c, &p)
	}
	if c.OK() && found != 1 {
		c.Fail("", "package `%s` must come from one of `vcs`, `directory`, `archive`, or `sdist` and `wheels`", p.Name)
	}
	return p
}

func readVCS(c tomldoc.Cursor, p *Package) {
	p.Source = uv.Source{Kind: uv.Git, Location: c.Text("url"), Rev: c.Text("requested-revision"), Commit: c.Need("commit-id"), Subdirectory: c.Text("subdirectory")}
	switch t := c.Text("type"); {
	case c.OK() && t != "git":
		c.Fail("type", "version control %q is not known, only git is", t)
	case c.OK() && p.Source.Location == "":
		c.Fail("", "the repository of `%s` has no `url`; one that is a directory is not supported", p.Name)
	case c.OK() && !uv.IsCommit(p.Source.Commit):
		c.Fail("commit-id", "must be a commit of 40 hex digits, but is %q", p.Source.Commit)
	}
}

func readDirectory(c tomldoc.Cursor, p *Package) {
	p.Source = uv.Source{Kind: uv.Directory, Location: path.Join(c.Need("path"), c.Text("subdirectory"))}
	if c.Bool("editable") {
		p.Source.Kind = uv.Editable
	}
}

func readArchive(c tomldoc.Cursor, p *Package) {
	f := readFile(c)
	p.Source = uv.Source{Kind: uv.URL, Location: f.URL, Subdirectory: c.Text("subdirectory")}
	if f.Local() {
		p.Source.Kind = uv.Path
	}
	if strings.HasSuffix(f.Name, ".whl") {
		p.Wheels = []uv.File{f}
	} else {
		p.Sdist = &f
	}
}

func readIndex(c tomldoc.Cursor, p *Package) {
	p.Source = uv.Source{Kind: uv.Registry, Location: c.Text("index")}
	if p.Version == "" {
		c.Fail("version", "package `%s` has no `version`", p.Name)
	}
	if s, ok := c.Sub("sdist"); ok {
		f := readFile(s)
		p.Sdist = &f
	}
	c.Each("wheels", func(c tomldoc.Cursor) {
		f := readFile(c)
		if c.OK() && !strings.HasSuffix(f.Name, ".whl") {
			c.Fail("url", "%q is not the name of a wheel", f.Name)
		}
		p.Wheels = append(p.Wheels, f)
	})
}

func readFile(c tomldoc.Cursor) uv.File {
	f := uv.File{URL: c.Text("path"), Name: c.Text("name"), Size: c.Number("size"), Pos: c.Position("")}
	if v, ok := c.Table().Get("upload-time"); ok {
		f.UploadTime = v.Str
	}
	if strings.Contains(f.URL, "://") {
		c.Fail("path", "is a URL")
	}
	if f.URL == "" {
		if f.URL = c.Text("url"); c.OK() && !strings.Contains(f.URL, "://") {
			c.Fail("url", "the file has neither a `path` nor a `url` with a scheme")
		}
	}
	// Tools write a normalised `name`; the index knows the file by the name in its URL.
	if last := uv.LastName(f.URL); f.Name == "" || strings.HasSuffix(last, path.Ext(f.Name)) {
		f.Name = last
	}
	if c.OK() && (f.Name == "" || strings.ContainsAny(f.Name, "/\\\x00") || f.Name == "." || f.Name == "..") {
		c.Fail("", "the file has no usable name: neither `url`, `path` nor `name` gives one")
	}
	f.Integrity = integrity(c, f.Name)
	return f
}

// integrity is the strongest hash that we and PEP 376 know; sha256 first, since it is also the name of the content.
func integrity(c tomldoc.Cursor, name string) (sum source.Integrity) {
	h, ok := c.Sub("hashes")
	if !ok {
		c.Fail("", "`%s` has no `hashes`, so that nothing says which bytes are meant", name)
		return sum
	}
	for _, alg := range [...]string{"sha256", "sha512"} {
		text := h.Text(alg)
		if text == "" {
			continue
		}
		return uv.Hash(h, alg, alg+":"+strings.ToLower(text), name)
	}
	h.Fail("", "`%s` has no hash of a kind that is accepted (it has %s), want sha256", name, strings.Join(h.Table().Keys(), ", "))
	return sum
}
