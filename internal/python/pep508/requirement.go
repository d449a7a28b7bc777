// Package pep508 is Python's requirements and environment markers.
package pep508

import (
	"fmt"
	"slices"
	"strings"

	"hewn.example/hewn/internal/python/pep440"
)

// Requirement is `name[extras] >=1.0 ; marker` or `name @ url ; marker`.
type Requirement struct {
	Name       string   // normalised
	Extras     []string // normalised, sorted
	Specifiers pep440.Specifiers
	URL        string
	Marker     Marker
}

// Normalise is the one spelling of a name (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`.
func Normalise(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	dash := false
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '-' || c == '_' || c == '.' {
			dash = true
			continue
		}
		if dash {
			b.WriteByte('-')
			dash = false
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	if dash {
		b.WriteByte('-')
	}
	return b.String()
}

// Parse reads a requirement.
func Parse(s string) (Requirement, error) {
	p := parser{s: s}
	r := Requirement{Name: Normalise(p.name())}
	if r.Name == "" {
		return r, p.fail("no name")
	}
	if p.char('[') {
		for !p.char(']') {
			x := p.name()
			if x == "" || (!p.char(',') && !p.peek(']')) {
				return r, p.fail("malformed extras")
			}
			r.Extras = append(r.Extras, Normalise(x))
		}
		slices.Sort(r.Extras)
		r.Extras = slices.Compact(r.Extras)
	}
	if p.char('@') {
		r.URL = p.until(" \t")
		if r.URL == "" {
			return r, p.fail("no URL after `@`")
		}
	} else {
		spec := strings.TrimSpace(p.until(";"))
		if strings.HasPrefix(spec, "(") && strings.HasSuffix(spec, ")") {
			spec = spec[1 : len(spec)-1]
		}
		var err error
		if r.Specifiers, err = pep440.ParseSpecifiers(spec); err != nil {
			return r, fmt.Errorf("requirement %q: %w", s, err)
		}
	}
	if p.char(';') {
		m, err := ParseMarker(p.s[p.i:])
		if err != nil {
			return r, fmt.Errorf("requirement %q: %w", s, err)
		}
		r.Marker, p.i = m, len(p.s)
	}
	if p.skip() < len(s) {
		return r, p.fail("unexpected text")
	}
	return r, nil
}

// String is the requirement in one spelling, without its marker.
func (r Requirement) String() string {
	s := r.Name
	if len(r.Extras) > 0 {
		s += "[" + strings.Join(r.Extras, ",") + "]"
	}
	if r.URL != "" {
		return s + " @ " + r.URL
	}
	return s + strings.ReplaceAll(r.Specifiers.String(), " ", "")
}

// parser walks over a text.
type parser struct {
	s string
	i int
}

func (p *parser) fail(what string) error {
	return fmt.Errorf("%q: %s at character %d", p.s, what, p.i+1)
}

func (p *parser) skip() int {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
	return p.i
}

func (p *parser) peek(c byte) bool {
	p.skip()
	return p.i < len(p.s) && p.s[p.i] == c
}

func (p *parser) char(c byte) bool {
	if p.peek(c) {
		p.i++
		return true
	}
	return false
}

// word takes a keyword that no letter follows.
func (p *parser) word(w string) bool {
	p.skip()
	rest := p.s[p.i:]
	if !strings.HasPrefix(rest, w) || (len(rest) > len(w) && (isAlnum(rest[len(w)]) || rest[len(w)] == '_')) {
		return false
	}
	p.i += len(w)
	return true
}

func (p *parser) name() string {
	start := p.skip()
	for p.i < len(p.s) && (isAlnum(p.s[p.i]) || (p.i > start && strings.IndexByte("-_.", p.s[p.i]) >= 0)) {
		p.i++
	}
	return strings.TrimRight(p.s[start:p.i], "-_.")
}

func (p *parser) until(stop string) string {
	start := p.skip()
	if n := strings.IndexAny(p.s[start:], stop); n >= 0 {
		p.i = start + n
	} else {
		p.i = len(p.s)
	}
	return p.s[start:p.i]
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
