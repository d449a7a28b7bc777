// Package yarn reads yarn.lock as yarn 1 ("classic") writes it.
//
// It says what stands in the lock and decides nothing: the lock has no places, so where packages go, and what else their
// own package.json says, is the business of package node. Reading is pure and takes time linear in the size of the file.
package yarn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/source"
)

// Lock is a whole yarn.lock.
type Lock struct {
	File      string // the name under which it was read, for errors
	Entries   []Entry
	byPattern map[string]int
}

// Entry is what one or more patterns (`name@range`) were resolved to. Its Package has no Path and no Name: the name is
// that of the pattern, see Package.
type Entry struct {
	npm.Package
	Patterns []string
	Alias    string // of a pattern `name@npm:other@range`: other, the name in the registry
}

// Package gives what a pattern was resolved to, under the name that the pattern has.
func (l *Lock) Package(pattern string) (npm.Package, bool) {
	i, ok := l.byPattern[pattern]
	if !ok {
		return npm.Package{}, false
	}
	p := l.Entries[i].Package
	if p.Name = l.Entries[i].Alias; p.Name == "" {
		p.Name, _ = Split(pattern)
	}
	return p, true
}

// Split takes a pattern apart: the name, and the range, which may be empty.
func Split(pattern string) (name, spec string) {
	at := strings.IndexByte(pattern[min(1, len(pattern)):], '@')
	if at < 0 {
		return pattern, ""
	}
	return pattern[:at+1], pattern[at+2:]
}

type reader struct {
	lock  *Lock
	entry *Entry
	list  *[]string // of names: that of the section that is being read
	line  int
}

// Parse reads a yarn.lock. file is the name for errors, which are *diag.Problem with file, line and key.
func Parse(file string, b []byte) (*Lock, error) {
	r := &reader{lock: &Lock{File: file, byPattern: map[string]int{}}}
	text := string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if !utf8.ValidString(text) {
		return nil, r.problem("lock-syntax", "", "this is no UTF-8")
	}
	for l := range strings.Lines(text) {
		r.line++
		if err := r.read(strings.TrimRight(l, "\r\n")); err != nil {
			return nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r.lock, nil
}

func (r *reader) problem(code, key, format string, args ...any) *diag.Problem {
	return diag.Inputf(code, format, args...).At(diag.Position{File: r.lock.File, Line: r.line, Key: key})
}

// read takes one line: a comment, the patterns of an entry, or, by their indentation, its fields and dependencies.
func (r *reader) read(l string) error {
	t := strings.TrimLeft(l, " ")
	indent := len(l) - len(t)
	switch {
	case strings.TrimSpace(t) == "":
		return nil
	case strings.HasPrefix(t, "#"):
		if v, ok := strings.CutPrefix(t, "# yarn lockfile v"); ok && v != "1" {
			return r.problem("lock-version", "", "lockfile version %s is not known here; 1, of yarn 1, is", v)
		}
		return nil
	case strings.HasPrefix(t, "<<<<<<<") || strings.HasPrefix(t, ">>>>>>>") || strings.HasPrefix(t, "======="):
		return r.problem("lock-syntax", "", "a merge has left its marks").Hint("run `yarn install`, which mends them, and commit the result")
	case strings.HasPrefix(t, "__metadata:"):
		return r.problem("lock-version", "__metadata", "this lock was made by yarn 2 or newer (berry); that of yarn 1 can be read").
			Hint("lock with yarn 1, npm or pnpm")
	}
	tokens, colon, err := split(t)
	if err != nil {
		return r.problem("lock-syntax", "", "%v", err)
	}
	switch {
	case indent == 0 && colon:
		if err := r.finish(); err != nil {
			return err
		}
		r.entry, r.list = &Entry{Patterns: tokens, Package: npm.Package{Line: r.line}}, nil
		return nil
	case r.entry == nil:
		return r.problem("lock-syntax", "", "this is no list of patterns with a colon at its end")
	case indent == 2 && colon && len(tokens) == 1:
		return r.section(tokens[0])
	case indent == 2 && !colon && len(tokens) == 2:
		r.list = nil
		return r.field(tokens[0], tokens[1])
	case indent == 4 && !colon && len(tokens) == 2 && r.entry != nil:
		if r.list == nil {
			return nil // of a section that nobody needs here
		}
		if !npm.ValidName(tokens[0]) {
			return r.problem("lock-path", r.key(), "%q is not the name of a package", tokens[0])
		}
		*r.list = append(*r.list, tokens[0])
		r.entry.Wants[tokens[0]] = tokens[1]
		return nil
	}
	return r.problem("lock-syntax", r.key(), "this line cannot be read")
}

func (r *reader) key() string {
	if r.entry == nil {
		return ""
	}
	return strings.Join(r.entry.Patterns, ", ")
}

func (r *reader) section(name string) error {
	if r.entry.Wants == nil {
		r.entry.Wants = map[string]string{}
	}
	switch name {
	case "dependencies":
		r.list = &r.entry.Dependencies
	case "optionalDependencies":
		r.list = &r.entry.OptionalDependencies
	default:
		r.list = nil
	}
	return nil
}

func (r *reader) field(key, value string) error {
	e := r.entry
	switch key {
	case "version":
		e.Version = value
	case "resolved":
		e.Resolved = value
	case "integrity":
		var err error
		if e.Integrity, err = source.ParseIntegrity(value); err != nil {
			return r.problem("lock-integrity", r.key()+".integrity", "%v", err)
		}
	}
	return nil
}

// finish checks the entry that has been read and takes it into the lock.
func (r *reader) finish() error {
	e := r.entry
	if r.entry = nil; e == nil {
		return nil
	}
	defer func(line int) { r.line = line }(r.line)
	r.line = e.Line // for errors
	key := strings.Join(e.Patterns, ", ")
	if e.Version == "" {
		return r.problem("lock-value", key, "the entry has no version")
	}
	// At the end of an address is a SHA-1, or `undefined` where the registry gave none; for git it is the commit.
	if url, sum, ok := strings.Cut(e.Resolved, "#"); ok && !strings.HasPrefix(url, "git") && !strings.HasSuffix(url, ".git") {
		e.Resolved = url
		if i, err := source.ParseIntegrity("sha1:" + sum); err == nil && e.Integrity.IsZero() {
			e.Integrity = i
		}
	}
	slices.Sort(e.Dependencies)
	slices.Sort(e.OptionalDependencies)
	for _, p := range e.Patterns {
		name, spec := Split(p)
		if !npm.ValidName(name) {
			return r.problem("lock-path", key, "%q is not the name of a package", name)
		}
		if alias, ok := strings.CutPrefix(spec, "npm:"); ok {
			if e.Alias, _ = Split(alias); !npm.ValidName(e.Alias) {
				return r.problem("lock-path", key, "%q is not the name of a package", e.Alias)
			}
		}
		if _, twice := r.lock.byPattern[p]; twice {
			return r.problem("lock-value", p, "the pattern stands twice")
		}
		r.lock.byPattern[p] = len(r.lock.Entries)
	}
	r.lock.Entries = append(r.lock.Entries, *e)
	return nil
}

// split takes a line apart: texts, quoted as in JSON where they need it, with commas or spaces between them; colon says
// that it ends with one.
func split(s string) (tokens []string, colon bool, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ,") {
		if s == ":" {
			return tokens, true, nil
		}
		end := 0
		if s[0] == '"' {
			for end = 1; end < len(s) && s[end] != '"'; end++ {
				if s[end] == '\\' {
					end++
				}
			}
			if end++; end > len(s) {
				return nil, false, fmt.Errorf("a quoted text does not end")
			}
			t := s[1 : end-1]
			if strings.IndexByte(t, '\\') >= 0 {
				if err := json.Unmarshal([]byte(s[:end]), &t); err != nil {
					return nil, false, fmt.Errorf("%s is no quoted text", s[:end])
				}
			}
			tokens = append(tokens, t)
		} else {
			for end < len(s) && s[end] != ' ' && s[end] != ',' && (s[end] != ':' || end+1 < len(s) && s[end+1] != ' ') {
				end++
			}
			if end == 0 {
				return nil, false, fmt.Errorf("there is a %q where a text should be", s[:1])
			}
			tokens = append(tokens, s[:end])
		}
		s = s[end:]
	}
	return tokens, false, nil
}
