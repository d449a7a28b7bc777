package wheel

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
)

// Tag is a compatibility tag: interpreter, ABI and platform.
type Tag struct{ Python, ABI, Platform string }

// FileName is what the name of a wheel says.
type FileName struct {
	Name    string // normalised
	Version string // as written
	Build   Build
	Tags    []Tag
}

// Build is a build tag; the zero value stands for none and ranks lowest.
type Build struct {
	N    int
	Text string
}

// ParseFileName takes `name-version[-build]-python-abi-platform.whl` apart.
func ParseFileName(file string) (FileName, error) {
	base, ok := strings.CutSuffix(path.Base(file), ".whl")
	parts := strings.Split(base, "-")
	if !ok || len(parts) < 5 || len(parts) > 6 || slices.Contains(parts, "") {
		return FileName{}, fmt.Errorf("%q is not the name of a wheel", file)
	}
	f := FileName{Name: pep508.Normalise(parts[0]), Version: parts[1]}
	if _, err := pep440.Parse(f.Version); err != nil {
		return FileName{}, fmt.Errorf("%q is not the name of a wheel: %w", file, err)
	}
	if len(parts) == 6 {
		digits := len(parts[2]) - len(strings.TrimLeft(parts[2], "0123456789"))
		n, err := strconv.Atoi(parts[2][:digits])
		if err != nil {
			return FileName{}, fmt.Errorf("%q is not the name of a wheel: its build tag must start with a number", file)
		}
		f.Build = Build{N: n, Text: parts[2][digits:]}
		parts = parts[1:]
	}
	for _, py := range strings.Split(parts[2], ".") {
		for _, abi := range strings.Split(parts[3], ".") {
			for _, plat := range strings.Split(parts[4], ".") {
				f.Tags = append(f.Tags, Tag{py, abi, plat})
				if len(f.Tags) > 1000 {
					return FileName{}, fmt.Errorf("%q has too many tags", file)
				}
			}
		}
	}
	return f, nil
}

// Target is what wheels are chosen for.
type Target struct {
	Python   string // "3.14" or "3.14.8"
	Platform platform.Platform
	Libc     string // version of the C library in the root: "2.41" of glibc, "1.2" of musl
}

// DefaultLibc is the version of the C library that is assumed where nobody says: that of the oldest root that has the
// Pythons built for here.
func DefaultLibc(p platform.Platform) string {
	if p.Libc == "musl" {
		return "1.2"
	}
	return "2.41"
}

// Ranks orders all tags that fit a target: the lower, the better.
type Ranks map[Tag]int

// NewRanks lists the tags of a CPython with the GIL on Linux, in the order of PEP 425's reference implementation: the
// interpreter's own ABI, the stable ABI of this and all older minors, no ABI, pure Python; within each, the newest
// C library first.
func NewRanks(t Target) (Ranks, error) {
	v, err := pep440.Parse(t.Python)
	if err != nil {
		return nil, err
	}
	if v.Release(0) != 3 || v.Release(1) < 2 || v.Release(1) > 1000 {
		return nil, fmt.Errorf("python %s is not supported, only 3.x is", t.Python)
	}
	plats, err := platforms(t)
	if err != nil {
		return nil, err
	}
	minor := int(v.Release(1))
	cp := func(m int) string { return "cp3" + strconv.Itoa(m) }
	py := []string{"py3" + strconv.Itoa(minor), "py3"}
	for m := minor - 1; m >= 0; m-- {
		py = append(py, "py3"+strconv.Itoa(m))
	}
	r := Ranks{}
	add := func(python, abi string, plats ...string) {
		for _, p := range plats {
			if tag := (Tag{python, abi, p}); r[tag] == 0 {
				r[tag] = len(r) + 1
			}
		}
	}
	add(cp(minor), cp(minor), plats...)
	add(cp(minor), "abi3", plats...)
	add(cp(minor), "none", plats...)
	for m := minor - 1; m >= 2; m-- {
		add(cp(m), "abi3", plats...)
	}
	for _, p := range py {
		add(p, "none", plats...)
	}
	add(cp(minor), "none", "any")
	for _, p := range py {
		add(p, "none", "any")
	}
	return r, nil
}

// platforms lists platform tags, the most specific first.
func platforms(t Target) ([]string, error) {
	machine, err := pep508.Machine(t.Platform)
	if err != nil {
		return nil, err
	}
	libc := t.Libc
	if libc == "" {
		libc = DefaultLibc(t.Platform)
	}
	v, err := pep440.Parse(libc)
	if err != nil || v.Release(1) > 1000 {
		return nil, fmt.Errorf("version %q of the C library is none", libc)
	}
	major, minor := v.Release(0), v.Release(1)
	var out []string
	if t.Platform.Libc == "musl" {
		for m := minor; m >= 0; m-- {
			out = append(out, fmt.Sprintf("musllinux_%d_%d_%s", major, m, machine))
		}
		return append(out, "linux_"+machine), nil
	}
	lowest := int64(17) // the first glibc 2 with wheels: manylinux2014 on arm64, manylinux1 on x86_64
	if machine == "x86_64" {
		lowest = 5
	}
	for m := minor; m >= lowest; m-- {
		out = append(out, fmt.Sprintf("manylinux_%d_%d_%s", major, m, machine))
		if old := map[int64]string{17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}[m]; old != "" {
			out = append(out, old+"_"+machine)
		}
	}
	return append(out, "linux_"+machine), nil
}

// Rank is the best rank among a wheel's tags; ok is false where none fits.
func (r Ranks) Rank(f FileName) (rank int, ok bool) {
	for _, t := range f.Tags {
		if n := r[t]; n != 0 && (!ok || n < rank) {
			rank, ok = n, true
		}
	}
	return rank, ok
}

// Best gives the index of the wheel to install: the best rank, then the highest build tag, then the first name.
// It is -1 where no wheel fits. Names that cannot be read do not fit.
func (r Ranks) Best(files []string) int {
	best, bestRank := -1, 0
	var bestBuild Build
	for i, file := range files {
		f, err := ParseFileName(file)
		if err != nil {
			continue
		}
		rank, ok := r.Rank(f)
		if !ok {
			continue
		}
		if best < 0 || rank < bestRank || rank == bestRank && (bestBuild.less(f.Build) || f.Build == bestBuild && file < files[best]) {
			best, bestRank, bestBuild = i, rank, f.Build
		}
	}
	return best
}

func (b Build) less(o Build) bool {
	return b.N < o.N || b.N == o.N && b.Text < o.Text
}
