// Package npm reads package-lock.json, versions 2 and 3, as npm 7 and later write it.
//
// It says what stands in the lock and decides nothing: which packages a platform gets, and where they come from, is the
// business of package node. Reading is pure and takes time linear in the size of the file.
package npm

import (
	"bytes"
	"encoding/json"
	"errors"
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
	name, version, resolved, integrity                               string
	link, inBundle, dev, optional, devOptional, peer, extraneous     bool
	hasInstallScript, hasShrinkwrap                                  bool
	integrityAt                                                      int // where its value is, in the entry
	os, cpu, libc                                                    []string
	engines, bin, bundleDependencies                                 string // raw; may be empty
	dependencies, optionalDependencies, peerDependencies, devDepends []want // in the order of names
	optionalPeers                                                    map[string]bool
}

// want is a dependency: a name and what is asked for.
type want struct{ name, spec string }

// set reads one member of an entry. what is the JSON type that cannot be there, if that is so.
func (e *entry) set(key, value string) (what string) {
	switch key {
	case "name":
		return text(value, &e.name)
	case "version":
		return text(value, &e.version)
	case "resolved":
		return text(value, &e.resolved)
	case "integrity":
		return text(value, &e.integrity)
	case "link":
		return boolean(value, &e.link)
	case "inBundle":
		return boolean(value, &e.inBundle)
	case "dev":
		return boolean(value, &e.dev)
	case "optional":
		return boolean(value, &e.optional)
	case "devOptional":
		return boolean(value, &e.devOptional)
	case "peer":
		return boolean(value, &e.peer)
	case "extraneous":
		return boolean(value, &e.extraneous)
	case "hasInstallScript":
		return boolean(value, &e.hasInstallScript)
	case "hasShrinkwrap":
		return boolean(value, &e.hasShrinkwrap)
	}
	return e.setMore(key, value)
}

func (e *entry) setMore(key, value string) (what string) {
	switch key {
	case "os":
		return oneOrMany(value, &e.os)
	case "cpu":
		return oneOrMany(value, &e.cpu)
	case "libc":
		return oneOrMany(value, &e.libc)
	case "engines":
		e.engines = value
	case "bin":
		e.bin = value
	case "bundleDependencies":
		e.bundleDependencies = value
	case "dependencies":
		return wants(value, &e.dependencies)
	case "optionalDependencies":
		return wants(value, &e.optionalDependencies)
	case "peerDependencies":
		return wants(value, &e.peerDependencies)
	case "devDependencies":
		return wants(value, &e.devDepends)
	case "peerDependenciesMeta":
		return e.peerMeta(value)
	case "workspaces":
		_, what = workspaces(value)
		return what
	}
	return ""
}

// workspaces reads a list of patterns, or an object whose `packages` is one.
func workspaces(value string) (patterns []string, what string) {
	if kind(value) == "object" {
		what = ""
		_, _ = object(value, func(key string, _, off, end int) error {
			if key == "packages" {
				patterns, what = workspaces(value[off:end])
			}
			return nil
		})
		return patterns, what
	}
	members, ok := list(value)
	if !ok && kind(value) != "null" {
		return nil, kind(value)
	}
	for _, m := range members {
		if kind(m) != "string" {
			return nil, "array with something else than texts"
		}
		patterns = append(patterns, unquote(m))
	}
	return patterns, ""
}

func text(value string, into *string) string {
	switch k := kind(value); k {
	case "string":
		*into = unquote(value)
	case "null":
	default:
		return k
	}
	return ""
}

func boolean(value string, into *bool) string {
	switch k := kind(value); k {
	case "bool":
		*into = value == "true"
	case "null":
	default:
		return k
	}
	return ""
}

// oneOrMany reads a list that may be written as a single text.
func oneOrMany(value string, into *[]string) string {
	members, ok := list(value)
	if !ok {
		members = []string{value}
	}
	out := make([]string, len(members))
	for i, m := range members {
		if bad := text(m, &out[i]); bad != "" {
			return bad
		}
	}
	if kind(value) != "null" {
		*into = out
	}
	return ""
}

// wants reads an object of texts, and sorts it.
func wants(value string, into *[]want) (what string) {
	var out []want
	ok, _ := object(value, func(key string, _, off, end int) error {
		w := want{name: key}
		if bad := text(value[off:end], &w.spec); bad != "" {
			what = bad
		}
		out = append(out, w)
		return nil
	})
	if !ok && kind(value) != "null" {
		return kind(value)
	}
	// Of a name that stands twice the last counts.
	slices.SortStableFunc(out, func(a, b want) int { return strings.Compare(a.name, b.name) })
	for i := len(out) - 2; i >= 0; i-- {
		if out[i].name == out[i+1].name {
			out = slices.Delete(out, i, i+1)
		}
	}
	*into = out
	return what
}

func (e *entry) peerMeta(value string) (what string) {
	e.optionalPeers = map[string]bool{}
	ok, _ := object(value, func(name string, _, off, end int) error {
		meta := value[off:end]
		isObject, _ := object(meta, func(key string, _, off, end int) error {
			if key == "optional" {
				var optional bool
				if bad := boolean(meta[off:end], &optional); bad != "" {
					what = bad
				}
				e.optionalPeers[name] = optional
			}
			return nil
		})
		if !isObject && kind(meta) != "null" {
			what = kind(meta)
		}
		return nil
	})
	if !ok && kind(value) != "null" {
		return kind(value)
	}
	return what
}

// Parse reads a package-lock.json. file is the name for errors, which are *diag.Problem with file, line and key.
func Parse(file string, b []byte) (*Lock, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	r := &reader{file: file, text: string(b)}
	if !json.Valid(b) {
		return nil, r.notJSON(b)
	}
	lock := &Lock{File: file}
	packages, at, version := "", 0, 0
	ok, err := object(r.text, func(key string, _, off, end int) error {
		switch value := r.text[off:end]; key {
		case "lockfileVersion":
			version = off
			if json.Unmarshal([]byte(value), &lock.Version) != nil {
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
	if !ok {
		return nil, r.problem("lock-value", 0, "", "this must be an object")
	}
	switch {
	case version == 0:
		return nil, r.problem("lock-version", 0, "lockfileVersion", "the lock has no `lockfileVersion`").
			Hint("if this is a lock of npm, run `npm install --package-lock-only`, and commit the result")
	case lock.Version == 1:
		return nil, r.problem("lock-version", version, "lockfileVersion", "lockfileVersion 1 (of npm 6) does not say where packages go").
			Hint("run `npm install --package-lock-only --lockfile-version 3` once, and commit the result")
	case lock.Version != 2 && lock.Version != 3:
		return nil, r.problem("lock-version", version, "lockfileVersion", "lockfileVersion %d is not known here; 2 and 3 are", lock.Version).
			Hint("run `npm install --package-lock-only --lockfile-version 3`, and commit the result")
	case packages == "":
		return nil, r.problem("lock-value", 0, "packages", "the lock has no `packages`")
	}
	if err := r.packages(lock, packages, at); err != nil {
		return nil, err
	}
	if err := r.check(lock); err != nil {
		return nil, err
	}
	return lock, nil
}

// notJSON says where a file is no JSON, and what to do if git left its marks there.
func (r *reader) notJSON(b []byte) *diag.Problem {
	err := json.Unmarshal(b, new(json.RawMessage))
	at := r.offset(err)
	if at > 0 && at <= len(b) && bytes.HasPrefix(b[at-1:], []byte("<<<<<<< ")) {
		return r.problem("lock-syntax", at, "", "this is not JSON: a merge left a conflict here").
			Hint("run `npm install --package-lock-only`, which solves it, and commit the result")
	}
	return r.problem("lock-syntax", at, "", "this is not JSON: %v", err).Hint(lockAnew)
}

func (r *reader) packages(lock *Lock, packages string, at int) error {
	ok, err := object(packages, func(key string, keyOff, off, end int) error {
		p, err := r.pkg(key, packages[off:end], at+off)
		if err != nil {
			return err
		}
		p.Line = r.line(at + keyOff)
		lock.Packages = append(lock.Packages, p)
		return nil
	})
	if err != nil {
		return err
	}
	if !ok {
		return r.problem("lock-value", at, "packages", "this must be an object")
	}
	lock.Packages = sorted(lock.Packages)
	for i, p := range lock.Packages {
		if i > 0 && lock.Packages[i-1].Path == p.Path {
			problem := r.problem("lock-value", 0, "packages."+p.Path, "the path stands twice")
			problem.Pos.Line = p.Line
			return problem.Hint(lockAnew)
		}
	}
	if len(lock.Packages) == 0 || lock.Packages[0].Path != "" {
		return r.problem("lock-value", at, "packages", "there is no entry for the project itself (the key \"\")")
	}
	return nil
}

// sorted orders packages by path, and by line where two have one path. Packages are large, so their numbers are sorted.
func sorted(list []Package) []Package {
	order := make([]int32, len(list))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := strings.Compare(list[a].Path, list[b].Path); c != 0 {
			return c
		}
		return int(a - b)
	})
	out := make([]Package, len(list))
	for i, k := range order {
		out[i] = list[k]
	}
	return out
}

func (r *reader) pkg(key, value string, off int) (Package, error) {
	at := "packages." + key
	if key == "" {
		at = `packages.""`
	}
	var e entry
	ok, err := object(value, func(name string, _, from, end int) error {
		if name == "integrity" {
			e.integrityAt = from
		}
		if bad := e.set(name, value[from:end]); bad != "" {
			return r.problem("lock-value", off+from, at+"."+name, "this cannot be a JSON %s", bad).Hint(lockAnew)
		}
		return nil
	})
	if err != nil {
		return Package{}, err
	}
	if !ok {
		return Package{}, r.problem("lock-value", off, at, "this cannot be a JSON %s", kind(value)).Hint(lockAnew)
	}
	if err := checkPath(key); err != nil {
		return Package{}, r.problem("lock-path", off, at, "%v", err)
	}
	p := e.pkg(key)
	if f := p.Folder(); f != "" && !ValidName(f) || f != "" && !ValidName(p.Name) {
		return Package{}, r.problem("lock-path", off, at, "%q is not the name of a package", p.Name)
	}
	if !validVersion(p.Version) {
		return Package{}, r.problem("lock-value", off, at+".version", "%q is no version", p.Version).Hint(lockAnew)
	}
	if p.Link {
		if p.Target = p.Resolved; p.Target == "" || path.IsAbs(p.Target) || path.Clean(p.Target) != p.Target {
			return Package{}, r.problem("lock-path", off, at+".resolved", "a link needs a relative path, this is %q", p.Target)
		}
		p.Resolved = ""
	}
	if e.integrity != "" {
		if p.Integrity, err = source.ParseIntegrity(e.integrity); err != nil {
			return Package{}, r.problem("lock-integrity", off+e.integrityAt, at+".integrity", "%v", err).Hint(lockAnew)
		}
	}
	return p, nil
}

// pkg is the entry at a place of the lock.
func (e *entry) pkg(key string) Package {
	p := Package{
		Path: key, Name: e.name, Version: e.version, Resolved: e.resolved, Link: e.link, InBundle: e.inBundle,
		Dev: e.dev, Optional: e.optional, DevOptional: e.devOptional, Peer: e.peer, Extraneous: e.extraneous,
		HasInstallScript: e.hasInstallScript, HasShrinkwrap: e.hasShrinkwrap, Bundles: bundles(e.bundleDependencies),
		OS: e.os, CPU: e.cpu, Libc: e.libc, NodeRange: nodeRange(e.engines),
		Dependencies: namesOf(e.dependencies), OptionalDependencies: namesOf(e.optionalDependencies), DevDependencies: namesOf(e.devDepends),
	}
	// Where a name stands twice, npm takes the later kind.
	all := [][]want{e.peerDependencies, e.dependencies, e.optionalDependencies, e.devDepends}
	if n := len(all[0]) + len(all[1]) + len(all[2]) + len(all[3]); n > 0 {
		p.Wants = make(map[string]string, n)
	}
	for _, kind := range all {
		for _, w := range kind {
			p.Wants[w.name] = w.spec
		}
	}
	for _, w := range e.peerDependencies {
		if e.optionalPeers[w.name] {
			p.OptionalPeers = append(p.OptionalPeers, w.name)
		} else {
			p.PeerDependencies = append(p.PeerDependencies, w.name)
		}
	}
	if p.Name == "" {
		if p.Name = p.Folder(); p.Name == "" && key != "" {
			p.Name = path.Base(key)
		}
	}
	p.Bin = Bins(p.Name, json.RawMessage(e.bin))
	return p
}

func namesOf(l []want) []string {
	if len(l) == 0 {
		return nil
	}
	out := make([]string, len(l))
	for i, w := range l {
		out[i] = w.name
	}
	return out
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
func nodeRange(raw string) (node string) {
	_, _ = object(raw, func(key string, _, off, end int) error {
		if key == "node" {
			text(raw[off:end], &node)
		}
		return nil
	})
	return node
}

// bundles reads bundleDependencies, a list of names or true for all.
func bundles(raw string) bool {
	if raw == "" || raw == "true" {
		return raw == "true"
	}
	members, _ := list(raw)
	return len(members) > 0 && !slices.ContainsFunc(members, func(m string) bool { return kind(m) != "string" })
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

// reader knows where in the file it is.
type reader struct {
	file string
	text string
	// lines are counted once, forwards: seen is how far, count what was found.
	seen, count int
}

// line gives the line of an offset, counting on from the last one where it can.
func (r *reader) line(off int) int {
	off = min(max(off, 0), len(r.text))
	if off < r.seen {
		r.seen, r.count = 0, 0
	}
	r.count += strings.Count(r.text[r.seen:off], "\n")
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
