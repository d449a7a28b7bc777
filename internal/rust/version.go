package rust

import (
	"cmp"
	"strconv"
	"strings"
)

// version is one of Semantic Versioning; what follows `+` counts for nothing.
type version struct {
	n   [3]uint64
	pre string
}

// parseVersion reads a version of up to three numbers; parts is how many there are.
func parseVersion(s string) (v version, parts int, ok bool) {
	s, _, _ = strings.Cut(s, "+")
	s, v.pre, _ = strings.Cut(s, "-")
	for part := range strings.SplitSeq(s, ".") {
		if parts == 3 {
			return v, parts, false
		}
		if part == "*" || part == "x" || part == "X" {
			return v, parts, true
		}
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return v, parts, false
		}
		v.n[parts] = n
		parts++
	}
	return v, parts, true
}

// compare orders versions: a pre-release comes before its release.
func (v version) compare(o version) int {
	for i := range v.n {
		if c := cmp.Compare(v.n[i], o.n[i]); c != 0 {
			return c
		}
	}
	switch {
	case v.pre == o.pre:
		return 0
	case v.pre == "":
		return 1
	case o.pre == "":
		return -1
	}
	a, b := strings.Split(v.pre, "."), strings.Split(o.pre, ".")
	for i := range min(len(a), len(b)) {
		x, errX := strconv.ParseUint(a[i], 10, 64)
		y, errY := strconv.ParseUint(b[i], 10, 64)
		c := cmp.Compare(a[i], b[i])
		switch {
		case errX == nil && errY == nil:
			c = cmp.Compare(x, y)
		case errX == nil:
			c = -1
		case errY == nil:
			c = 1
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// requirement is a version requirement as Cargo.toml has it: all of its parts must hold.
type requirement []comparator

type comparator struct {
	op    string
	v     version
	parts int
}

// parseRequirement reads "1.2", "^1", "~1.2.3", ">=1, <2", "1.*", "=1.0.0-rc.1". Empty and "*" hold for every release.
func parseRequirement(s string) (r requirement, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" || part == "*" {
			continue
		}
		rest := strings.TrimLeft(part, "^~=<>")
		c := comparator{op: part[:len(part)-len(rest)]}
		if c.v, c.parts, ok = parseVersion(strings.TrimSpace(rest)); !ok {
			return nil, false
		}
		switch c.op {
		case "", "^", "~", "=", "<", "<=", ">", ">=":
		default:
			return nil, false
		}
		if c.op == "" {
			c.op = "^"
			if strings.ContainsAny(rest, "*xX") {
				c.op = "=" // 1.2.*
			}
		}
		if c.parts > 0 {
			r = append(r, c)
		}
	}
	return r, true
}

// matches says whether a version will do. A pre-release does only where a comparator names one of the same release.
func (r requirement) matches(v version) bool {
	named := v.pre == ""
	for _, c := range r {
		if !c.matches(v) {
			return false
		}
		named = named || c.parts == 3 && c.v.pre != "" && c.v.n == v.n
	}
	return named
}

func (c comparator) matches(v version) bool {
	low := c.v.compare(v) <= 0
	// The first version that has other leading numbers than the first n of c.
	below := func(n int) bool {
		for i := range n {
			if v.n[i] != c.v.n[i] {
				return v.n[i] < c.v.n[i]
			}
		}
		return true
	}
	switch c.op {
	case ">=":
		return low
	case "<":
		return !low
	case "=":
		return low && below(c.parts) && (c.parts < 3 || c.v.pre == v.pre)
	case ">":
		return low && !(below(c.parts) && (c.parts < 3 || c.v.pre == v.pre))
	case "<=":
		return below(c.parts) && (c.parts < 3 || c.v.compare(v) >= 0)
	case "~":
		return low && below(min(c.parts, 2))
	}
	n := 1 // ^: the first number that is not zero stays
	for n < c.parts && c.v.n[n-1] == 0 {
		n++
	}
	return low && below(n)
}
