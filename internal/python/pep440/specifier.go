package pep440

import (
	"fmt"
	"strings"
)

// Specifiers is a set of clauses that must all hold: `>=3.8, !=3.9.*, <4`. The zero value accepts every version.
type Specifiers struct {
	clauses []clause
	text    string
}

type clause struct {
	op       string
	version  Version
	wildcard bool
	raw      string // of `===`
}

var operators = [...]string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

// ParseSpecifiers reads a comma-separated list; an empty one accepts everything.
func ParseSpecifiers(s string) (Specifiers, error) {
	out := Specifiers{text: strings.TrimSpace(s)}
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		c, err := parseClause(part)
		if err != nil {
			return Specifiers{}, err
		}
		out.clauses = append(out.clauses, c)
	}
	return out, nil
}

func parseClause(s string) (clause, error) {
	for _, op := range operators {
		rest, ok := strings.CutPrefix(s, op)
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		c := clause{op: op, raw: rest}
		if op == "===" {
			if rest == "" {
				return c, fmt.Errorf("version specifier %q has no version", s)
			}
			return c, nil
		}
		if base, ok := strings.CutSuffix(rest, ".*"); ok {
			if op != "==" && op != "!=" {
				return c, fmt.Errorf("version specifier %q: `.*` goes with == and != only", s)
			}
			c.wildcard, rest = true, base
		}
		v, err := Parse(rest)
		if err != nil {
			return c, fmt.Errorf("version specifier %q: %w", s, err)
		}
		if op == "~=" && len(v.release) < 2 {
			return c, fmt.Errorf("version specifier %q: ~= needs at least two numbers", s)
		}
		c.version = v
		return c, nil
	}
	return clause{}, fmt.Errorf("version specifier %q has no operator", s)
}

// String is the text that was parsed.
func (s Specifiers) String() string { return s.text }

// Empty says that every version is accepted.
func (s Specifiers) Empty() bool { return len(s.clauses) == 0 }

// NamesPre says that a clause itself names a pre-release, which opts in to pre-releases.
func (s Specifiers) NamesPre() bool {
	for _, c := range s.clauses {
		if c.op != "===" && c.op != "!=" && c.version.Pre() {
			return true
		}
	}
	return false
}

// Pinned gives the version of an `==` clause without wildcard, if there is one.
func (s Specifiers) Pinned() (Version, bool) {
	for _, c := range s.clauses {
		if c.op == "==" && !c.wildcard {
			return c.version, true
		}
	}
	return Version{}, false
}

// Lower gives the version of the first clause that bounds from below (`>=`, `>`, `~=`, `==`).
func (s Specifiers) Lower() (Version, bool) {
	for _, c := range s.clauses {
		switch c.op {
		case ">=", ">", "~=", "==":
			return c.version, true
		}
	}
	return Version{}, false
}

// Match says that every clause accepts v. Whether pre-releases are wanted at all is the caller's question.
func (s Specifiers) Match(v Version) bool {
	for _, c := range s.clauses {
		if !c.match(v) {
			return false
		}
	}
	return true
}

func (c clause) match(v Version) bool {
	switch c.op {
	case "===":
		return strings.EqualFold(strings.TrimSpace(v.text), c.raw)
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return comparePublic(v, c.version) <= 0
	case ">=":
		return comparePublic(v, c.version) >= 0
	case "~=":
		prefix := c.version
		prefix.release = prefix.release[:len(prefix.release)-1]
		return comparePublic(v, c.version) >= 0 && hasPrefix(v, prefix)
	case "<":
		// Not the pre-releases of the bound, unless the bound is one.
		if !c.version.Pre() && v.Pre() && sameRelease(v, c.version) {
			return false
		}
		return comparePublic(v, c.version) < 0
	default: // ">"
		// Not the post-releases and local versions of the bound, unless the bound is a post-release.
		if !c.version.post.set && v.post.set && sameRelease(v, c.version) {
			return false
		}
		return comparePublic(v, c.version) > 0
	}
}

// equal ignores v's local part unless the clause names one.
func (c clause) equal(v Version) bool {
	if c.wildcard {
		return hasPrefix(v, Version{epoch: c.version.epoch, release: c.version.release})
	}
	if len(c.version.local) > 0 {
		return Compare(v, c.version) == 0
	}
	return comparePublic(v, c.version) == 0
}

func hasPrefix(v, prefix Version) bool {
	if v.epoch != prefix.epoch {
		return false
	}
	for i, n := range prefix.release {
		if v.Release(i) != n {
			return false
		}
	}
	return true
}

func sameRelease(a, b Version) bool { return a.epoch == b.epoch && compareRelease(a, b) == 0 }
