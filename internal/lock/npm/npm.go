// Package npm reads package-lock.json, versions 2 and 3, as npm 7 and later write it.
//
// It says what stands in the lock and decides nothing: which packages a platform gets, and where they come from, is the
// business of package node. Reading is pure and takes time linear in the size of the file.
package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/source"
)

// Lock is a whole package-lock.json.
type Lock struct {
	File     string    // the name under which it was read, for errors
	Version  int       // lockfileVersion: 2 or 3
	Packages []Package // sorted by Path; the project itself is the one whose Path is empty
}

// Package is one entry of `packages`: a place in the project's directory and what belongs there.
type Package struct {
	Path      string // where it goes, relative to the lock: "node_modules/a/node_modules/b", "packages/core"; empty for the project
	Name      string // its name in the registry, which is not that of the folder where the dependency is an alias
	Version   string
	Resolved  string           // URL of the tarball as the lock has it; may be empty
	Integrity source.Integrity // may be zero
	Line      int              // of the entry's key in the file

	Link     bool   // a symbolic link to Target instead of files
	Target   string // of a link, relative to the lock: "packages/core"
	InBundle bool   // comes within the tarball of the package above it

	Dev, Optional, DevOptional, Peer bool // npm's flags: only reached through such edges
	Extraneous                       bool // nothing depends on it; npm does not install it
	HasInstallScript                 bool
	HasShrinkwrap                    bool // the tarball has a lock of its own, which npm obeys
	Bundles                          bool // it brings others within its tarball

	OS, CPU, Libc []string // npm's lists, with `!` for exclusions; empty means any
	NodeRange     string   // engines.node
	Bin           []Bin    // sorted by name

	Dependencies         []string // names only, sorted; the lock has already decided which package answers
	OptionalDependencies []string
	PeerDependencies     []string // those that are not optional
	OptionalPeers        []string
	DevDependencies      []string
	Wants                map[string]string // what the entry asks for, by name: a range, a tag, an address
}

// Bin is a command that a package brings.
type Bin struct {
	Name string // of the command: one path element
	File string // relative to the package, clean
}

// Folder is the name of the folder under node_modules in which the package lies, scope included; empty outside
// node_modules. It is the name by which code imports the package.
func (p Package) Folder() string {
	i := strings.LastIndex("/"+p.Path, "/node_modules/")
	if i < 0 {
		return ""
	}
	return p.Path[i+len("node_modules/"):]
}

// entry is the JSON form. Fields for which npm's own writing varies are kept raw.
type entry struct {
	Name                 string            `json:"name"`
	Version              string            `json:"version"`
	Resolved             string            `json:"resolved"`
	Integrity            string            `json:"integrity"`
	Link                 bool              `json:"link"`
	InBundle             bool              `json:"inBundle"`
	Dev                  bool              `json:"dev"`
	Optional             bool              `json:"optional"`
	DevOptional          bool              `json:"devOptional"`
	Peer                 bool              `json:"peer"`
	Extraneous           bool              `json:"extraneous"`
	HasInstallScript     bool              `json:"hasInstallScript"`
	HasShrinkwrap        bool              `json:"hasShrinkwrap"`
	OS                   oneOrMany         `json:"os"`
	CPU                  oneOrMany         `json:"cpu"`
	Libc                 oneOrMany         `json:"libc"`
	Engines              json.RawMessage   `json:"engines"`
	Bin                  json.RawMessage   `json:"bin"`
	BundleDependencies   json.RawMessage   `json:"bundleDependencies"`
	Dependencies         map[string]string `json:"dependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	PeerDependencies     map[string]string `json:"peerDependencies"`
	DevDependencies      map[string]string `json:"devDependencies"`
	PeerMeta             map[string]struct {
		Optional bool `json:"optional"`
	} `json:"peerDependenciesMeta"`
}

// oneOrMany is a list that may be written as a single string.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// Parse reads a package-lock.json. file is the name for errors, which are *diag.Problem with file, line and key.
func Parse(file string, b []byte) (*Lock, error) {
	r := &reader{file: file, text: bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))}
	if err := json.Unmarshal(r.text, new(json.RawMessage)); err != nil {
		return nil, r.problem("lock-syntax", r.offset(err), "", "this is not JSON: %v", err)
	}
	lock := &Lock{File: file}
	var packages []byte
	var at int
	err := r.object(r.text, 0, "", func(key string, _ int, value []byte, off int) error {
		switch key {
		case "lockfileVersion":
			if json.Unmarshal(value, &lock.Version) != nil {
				return r.problem("lock-value", off, key, "`%s` is not a lockfileVersion", value)
			}
		case "packages":
			packages, at = value, off
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch {
	case lock.Version == 1:
		return nil, r.problem("lock-version", 0, "lockfileVersion", "lockfileVersion 1 (of npm 6) does not say where packages go").
			Hint("run `npm install --package-lock-only --lockfile-version 3` once, and commit the result")
	case lock.Version != 2 && lock.Version != 3:
		return nil, r.problem("lock-version", 0, "lockfileVersion", "lockfileVersion %d is not known here; 2 and 3 are", lock.Version)
	case packages == nil:
		return nil, r.problem("lock-value", 0, "packages", "the lock has no `packages`")
	}
	if err := r.packages(lock, packages, at); err != nil {
		return nil, err
	}
	return lock, nil
}

func (r *reader) packages(lock *Lock, text []byte, at int) error {
	seen := map[string]bool{}
	err := r.object(text, at, "packages", func(key string, keyOff int, value []byte, off int) error {
		if seen[key] {
			return r.problem("lock-value", keyOff, "packages."+key, "the path stands twice")
		}
		seen[key] = true
		p, err := r.pkg(key, value, off)
		if err != nil {
			return err
		}
		p.Line = r.line(keyOff)
		lock.Packages = append(lock.Packages, p)
		return nil
	})
	if err != nil {
		return err
	}
	if !seen[""] {
		return r.problem("lock-value", at, "packages", "there is no entry for the project itself (the key \"\")")
	}
	slices.SortFunc(lock.Packages, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

func (r *reader) pkg(key string, value []byte, off int) (Package, error) {
	at := "packages." + key
	var e entry
	if err := json.Unmarshal(value, &e); err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			if typ.Field != "" {
				at += "." + typ.Field
			}
			return Package{}, r.problem("lock-value", off+int(typ.Offset), at, "this cannot be a JSON %s", typ.Value)
		}
		return Package{}, r.problem("lock-value", off, at, "%v", err)
	}
	if err := checkPath(key); err != nil {
		return Package{}, r.problem("lock-path", off, at, "%v", err)
	}
	p := Package{
		Path: key, Name: e.Name, Version: e.Version, Resolved: e.Resolved, Link: e.Link, InBundle: e.InBundle,
		Dev: e.Dev, Optional: e.Optional, DevOptional: e.DevOptional, Peer: e.Peer, Extraneous: e.Extraneous,
		HasInstallScript: e.HasInstallScript, HasShrinkwrap: e.HasShrinkwrap, Bundles: bundles(e.BundleDependencies),
		OS: e.OS, CPU: e.CPU, Libc: e.Libc, NodeRange: nodeRange(e.Engines),
		Dependencies: names(e.Dependencies), OptionalDependencies: names(e.OptionalDependencies),
		DevDependencies: names(e.DevDependencies),
	}
	p.Wants = make(map[string]string, len(e.Dependencies)+len(e.OptionalDependencies))
	for _, m := range []map[string]string{e.PeerDependencies, e.Dependencies, e.OptionalDependencies, e.DevDependencies} {
		maps.Copy(p.Wants, m) // where a name stands twice, npm takes the later kind
	}
	for _, n := range names(e.PeerDependencies) {
		if e.PeerMeta[n].Optional {
			p.OptionalPeers = append(p.OptionalPeers, n)
		} else {
			p.PeerDependencies = append(p.PeerDependencies, n)
		}
	}
	if p.Name == "" {
		if p.Name = p.Folder(); p.Name == "" && key != "" {
			p.Name = path.Base(key)
		}
	}
	if f := p.Folder(); f != "" && !validName(f) || p.Folder() != "" && !validName(p.Name) {
		return Package{}, r.problem("lock-path", off, at, "%q is not the name of a package", p.Name)
	}
	p.Bin = Bins(p.Name, e.Bin)
	if p.Link {
		if p.Target = p.Resolved; p.Target == "" || path.IsAbs(p.Target) || path.Clean(p.Target) != p.Target {
			return Package{}, r.problem("lock-path", off, at+".resolved", "a link needs a relative path, this is %q", p.Target)
		}
		p.Resolved = ""
	}
	if e.Integrity != "" {
		var err error
		if p.Integrity, err = source.ParseIntegrity(e.Integrity); err != nil {
			return Package{}, r.problem("lock-integrity", off, at+".integrity", "%v", err)
		}
	}
	return p, nil
}

// checkPath refuses keys that would leave the project, but for those that only name a linked package outside ("../x").
func checkPath(p string) error {
	switch {
	case p == "":
		return nil
	case path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, "\x00\\"):
		return fmt.Errorf("%q is not a clean relative path", p)
	case (p == ".." || strings.HasPrefix(p, "../")) && strings.Contains(p+"/", "/node_modules/"):
		return fmt.Errorf("%q lies outside the project", p)
	}
	return nil
}

// validName accepts `name` and `@scope/name`.
func validName(n string) bool {
	if scope, rest, ok := strings.Cut(n, "/"); ok {
		return len(scope) > 1 && scope[0] == '@' && validPart(scope[1:]) && validPart(rest)
	}
	return validPart(n) && n[0] != '@'
}

func validPart(s string) bool {
	return s != "" && s != "." && s != ".." && s != "node_modules" && !strings.ContainsAny(s, "/\\ %?#\x00\n\r\t")
}

func names(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	out := make([]string, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// nodeRange reads engines.node; old packages have other things in `engines` than an object, which npm ignores as well.
func nodeRange(raw json.RawMessage) string {
	var m map[string]json.RawMessage
	var s string
	if json.Unmarshal(raw, &m) == nil && json.Unmarshal(m["node"], &s) == nil {
		return s
	}
	return ""
}

// bundles reads bundleDependencies, a list of names or true for all.
func bundles(raw json.RawMessage) bool {
	var list []string
	return string(raw) == "true" || json.Unmarshal(raw, &list) == nil && len(list) > 0
}

// Bins reads the `bin` of a package.json or a lock as npm does: a string names the package itself, a list its files' own
// names; names lose their directories, and files cannot leave the package. What cannot be read is left out.
func Bins(name string, raw json.RawMessage) []Bin {
	if len(raw) == 0 {
		return nil
	}
	var one string
	var list []string
	m := map[string]string{}
	var byName map[string]json.RawMessage
	switch {
	case json.Unmarshal(raw, &one) == nil:
		m[name] = one
	case json.Unmarshal(raw, &list) == nil:
		for _, f := range list {
			m[path.Base(f)] = f
		}
	case json.Unmarshal(raw, &byName) == nil:
		for k, v := range byName {
			if json.Unmarshal(v, &one) == nil {
				m[k] = one
			}
		}
	}
	var out []Bin
	seen := map[string]bool{}
	for _, k := range names(m) {
		command := strings.TrimPrefix(path.Join("/", path.Base(strings.NewReplacer("\\", "/", ":", "/").Replace(k))), "/")
		file := strings.TrimPrefix(path.Join("/", strings.ReplaceAll(m[k], "\\", "/")), "/")
		if command != "" && file != "" && !seen[command] && !strings.ContainsRune(command+file, 0) {
			seen[command] = true
			out = append(out, Bin{Name: command, File: file})
		}
	}
	slices.SortFunc(out, func(a, b Bin) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// reader walks JSON text that is known to be well-formed and knows where in the file it is.
type reader struct {
	file string
	text []byte
	// lines are counted once, forwards: seen is how far, count what was found.
	seen, count int
}

// object calls f for each member of the object in text, which lies at offset base of the file. Offsets passed on are
// those of the key and of the value in the file.
func (r *reader) object(text []byte, base int, key string, f func(key string, keyOff int, value []byte, off int) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	tok, err := d.Token()
	if err != nil || tok != json.Delim('{') {
		return r.problem("lock-value", base, key, "this must be an object")
	}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return r.problem("lock-syntax", base+int(d.InputOffset()), key, "%v", err)
		}
		name, _ := tok.(string)
		keyEnd := int(d.InputOffset())
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return r.problem("lock-syntax", base+keyEnd, key, "%v", err)
		}
		off := base + int(d.InputOffset()) - len(value)
		if err := f(name, base+keyEnd-1, value, off); err != nil {
			return err
		}
	}
	return nil
}

// line gives the line of an offset, counting on from the last one where it can.
func (r *reader) line(off int) int {
	off = min(max(off, 0), len(r.text))
	if off < r.seen {
		r.seen, r.count = 0, 0
	}
	r.count += bytes.Count(r.text[r.seen:off], []byte("\n"))
	r.seen = off
	return r.count + 1
}

// offset is where in the file an error of encoding/json happened.
func (r *reader) offset(err error) int {
	var syn *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syn):
		return int(syn.Offset)
	case errors.As(err, &typ):
		return int(typ.Offset)
	}
	return len(r.text)
}

func (r *reader) problem(code string, off int, key, format string, args ...any) *diag.Problem {
	pos := diag.Position{File: r.file, Key: key}
	if off > 0 {
		pos.Line = r.line(off)
	}
	return diag.Inputf(code, format, args...).At(pos)
}
