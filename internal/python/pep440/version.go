// Package pep440 is Python's versions and specifiers, exactly as PEP 440 orders and matches them. The library that
// DESIGN names for versions was tried: it differs for local versions (`==1.0` must accept `1.0+cpu`), for `===` and for
// `<1.0` against pre-releases of 1.0.
package pep440

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a parsed version. The zero value is version 0.
type Version struct {
	epoch   int64
	release []int64
	pre     letterNumber // a, b, rc
	post    letterNumber // post
	dev     letterNumber // dev
	local   []string
	text    string
}

// letterNumber is one suffix; set says that it is there.
type letterNumber struct {
	set    bool
	letter string
	n      int64
}

var versionRE = regexp.MustCompile(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` + // epoch, release
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// maxText bounds what Parse looks at; no version of a release has more than 60 characters.
const maxText = 256

// Parse reads a version in any spelling that PEP 440 allows.
func Parse(s string) (Version, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	var m []string
	if len(t) <= maxText {
		m = versionRE.FindStringSubmatch(t)
	}
	if m == nil {
		return Version{}, fmt.Errorf("%q is not a Python version", s)
	}
	v := Version{text: s}
	var err error
	number := func(s string) int64 {
		if s == "" {
			return 0
		}
		n, e := strconv.ParseInt(s, 10, 64)
		if e != nil {
			err = fmt.Errorf("%q is not a Python version: a number in it is too large", v.text)
		}
		return n
	}
	v.epoch = number(m[1])
	for _, part := range strings.Split(m[2], ".") {
		v.release = append(v.release, number(part))
	}
	if m[3] != "" {
		letter := map[string]string{"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}[m[3]]
		if letter == "" {
			letter = m[3]
		}
		v.pre = letterNumber{true, letter, number(m[4])}
	}
	if m[5] != "" || m[6] != "" {
		v.post = letterNumber{true, "post", number(m[5] + m[7])}
	}
	if m[8] != "" {
		v.dev = letterNumber{true, "dev", number(m[9])}
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(m[10], func(r rune) bool { return strings.ContainsRune("-_.", r) })
	}
	return v, err
}

// String is the normal form: two versions that compare equal may still print differently (1.0 and 1.0.0).
func (v Version) String() string {
	s := v.public()
	if len(v.local) > 0 {
		s += "+" + strings.Join(v.local, ".")
	}
	return s
}

func (v Version) public() string {
	var b strings.Builder
	if v.epoch != 0 {
		fmt.Fprintf(&b, "%d!", v.epoch)
	}
	for i, n := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatInt(n, 10))
	}
	if v.pre.set {
		fmt.Fprintf(&b, "%s%d", v.pre.letter, v.pre.n)
	}
	if v.post.set {
		fmt.Fprintf(&b, ".post%d", v.post.n)
	}
	if v.dev.set {
		fmt.Fprintf(&b, ".dev%d", v.dev.n)
	}
	return b.String()
}

// Pre says that v is a pre-release or development release, which is taken only where somebody asks for it.
func (v Version) Pre() bool { return v.pre.set || v.dev.set }

// Release gives the n-th number of the release, 0 where there are fewer.
func (v Version) Release(n int) int64 {
	if n < len(v.release) {
		return v.release[n]
	}
	return 0
}

// Compare orders versions.
func Compare(a, b Version) int {
	if c := comparePublic(a, b); c != 0 {
		return c
	}
	return compareLocal(a.local, b.local)
}

func comparePublic(a, b Version) int {
	if c := cmp.Compare(a.epoch, b.epoch); c != 0 {
		return c
	}
	if c := compareRelease(a, b); c != 0 {
		return c
	}
	if c := comparePre(a, b); c != 0 {
		return c
	}
	if c := compareSuffix(a.post, b.post, -1); c != 0 {
		return c
	}
	return compareSuffix(a.dev, b.dev, 1)
}

func compareRelease(a, b Version) int {
	for i := range max(len(a.release), len(b.release)) {
		if c := cmp.Compare(a.Release(i), b.Release(i)); c != 0 {
			return c
		}
	}
	return 0
}

// comparePre: 1.0.dev1 < 1.0a1 < 1.0b1 < 1.0rc1 < 1.0 (and its posts).
func comparePre(a, b Version) int {
	rank := func(v Version) int {
		switch {
		case v.pre.set:
			return 1
		case !v.post.set && v.dev.set:
			return 0
		}
		return 2
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 || !a.pre.set {
		return c
	}
	if c := strings.Compare(a.pre.letter, b.pre.letter); c != 0 {
		return c
	}
	return cmp.Compare(a.pre.n, b.pre.n)
}

// compareSuffix orders by number; a missing suffix ranks below (-1) or above (1) every present one.
func compareSuffix(a, b letterNumber, missing int) int {
	switch {
	case a.set && b.set:
		return cmp.Compare(a.n, b.n)
	case a.set:
		return -missing
	case b.set:
		return missing
	}
	return 0
}

func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, errX := strconv.ParseInt(a[i], 10, 64)
		y, errY := strconv.ParseInt(b[i], 10, 64)
		var c int
		switch {
		case errX == nil && errY == nil:
			c = cmp.Compare(x, y)
		case errX == nil: // numbers rank above words
			c = 1
		case errY == nil:
			c = -1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
