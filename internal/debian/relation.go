package debian

import (
	"fmt"
	"strings"

	"pault.ag/go/debian/version"
)

// A relation is what a Depends field says: each group must be satisfied, by any one of its alternatives.
type relation []group

// group is alternatives in the order in which the packager prefers them.
type group []atom

// atom is a package by name, maybe with a bound on its version.
type atom struct {
	name string
	arch string // qualifier: "", "any", "native" or an architecture
	op   string // "", "<<", "<=", "=", ">=", ">>"
	ver  version.Version
	raw  string // the version as it was written
}

func (a atom) String() string {
	s := a.name
	if a.arch != "" {
		s += ":" + a.arch
	}
	if a.op != "" {
		s += " (" + a.op + " " + a.raw + ")"
	}
	return s
}

func (g group) String() string {
	parts := make([]string, len(g))
	for i, a := range g {
		parts[i] = a.String()
	}
	return strings.Join(parts, " | ")
}

// admits says whether version v is within the bound.
func (a atom) admits(v version.Version) bool {
	if a.op == "" {
		return true
	}
	c := version.Compare(v, a.ver)
	switch a.op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	}
	return c > 0
}

// parseRelation reads a field such as Depends, Provides, Breaks or Replaces.
func parseRelation(s string) (relation, error) {
	var r relation
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue // a trailing comma is common
		}
		var g group
		for alt := range strings.SplitSeq(part, "|") {
			a, err := parseAtom(alt)
			if err != nil {
				return nil, err
			}
			g = append(g, a)
		}
		r = append(r, g)
	}
	return r, nil
}

func parseAtom(s string) (atom, error) {
	text := strings.TrimSpace(s)
	name, rest := text, ""
	if i := strings.IndexAny(text, " ("); i >= 0 {
		name, rest = text[:i], strings.TrimSpace(text[i:])
	}
	var a atom
	a.name, a.arch, _ = strings.Cut(name, ":")
	if !validName(a.name) {
		return a, fmt.Errorf("%q names no package", text)
	}
	if rest == "" {
		return a, nil
	}
	bound, ok := strings.CutSuffix(strings.TrimPrefix(rest, "("), ")")
	if !ok {
		return a, fmt.Errorf("%q: want `name (op version)`", text)
	}
	bound = strings.TrimSpace(bound)
	n := 0
	for n < len(bound) && strings.IndexByte("<>=", bound[n]) >= 0 {
		n++
	}
	switch a.op = bound[:n]; a.op {
	case "<": // an old way to write <=, as dpkg still reads it
		a.op = "<="
	case ">":
		a.op = ">="
	case "<<", "<=", "=", ">=", ">>":
	default:
		return a, fmt.Errorf("%q: unknown comparison %q", text, a.op)
	}
	a.raw = strings.TrimSpace(bound[n:])
	var err error
	if a.ver, err = version.Parse(a.raw); err != nil {
		return a, fmt.Errorf("%q: %w", text, err)
	}
	return a, nil
}

// validName says whether s can be the name of a package: Debian Policy 5.6.1, and one-letter names besides (`r`).
func validName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && strings.IndexByte("+-.", c) >= 0:
		case c >= 'A' && c <= 'Z', i > 0 && c == '_': // seen in archives outside Debian
		default:
			return false
		}
	}
	return true
}
