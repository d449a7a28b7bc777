package pins

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// LockName is the file's name, beside hewn.toml.
const LockName = "sources.lock"

// lockVersion is the format's version. Another number is refused, not guessed at.
const lockVersion = 1

// MaxLock bounds a lock: 100,000 pins of 300 bytes.
const MaxLock = 32 << 20

// Lock is what a workspace has pinned: answers by question. It is immutable once parsed.
//
// The file has one line a question (`set`), below it the lines of text that answer it (`|`), and one line an artifact
// (`pin`). Sets and artifacts are sorted, an artifact stands once however many sets it is in, so that a change is a short
// diff. docs/FORMATS.md describes it.
type Lock struct {
	file string
	sets map[key]answer
}

// answer is what a question was answered with: artifacts, or lines of text.
type answer struct {
	request   []string
	artifacts []source.Artifact
	lines     []string
}

// NewLock is a lock without pins; file is its name in messages.
func NewLock(file string) *Lock { return &Lock{file: file, sets: map[key]answer{}} }

// ParseLock reads a sources.lock; file is its name in messages.
func ParseLock(file string, b []byte) (*Lock, error) {
	if len(b) > MaxLock {
		return nil, diag.Inputf("lock-too-large", "`%s` has %d bytes; at most %d are read", file, len(b), MaxLock)
	}
	l := NewLock(file)
	p := lockParser{lock: l}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		p.line++
		if err := p.parse(sc.Text()); err != nil {
			return nil, diag.Inputf("malformed-lock", "malformed lock").Because(err).
				At(diag.Position{File: file, Line: p.line}).
				Hint("restore the file from version control, or write it anew with `hewn update`")
		}
	}
	if err := sc.Err(); err != nil {
		return nil, diag.Inputf("malformed-lock", "malformed lock").Because(err).At(diag.Position{File: file, Line: p.line + 1})
	}
	if !p.version {
		return nil, diag.Inputf("malformed-lock", "malformed lock: the line `hewn-lock %d` is missing", lockVersion).At(diag.Position{File: file, Line: 1})
	}
	for k, a := range l.sets {
		sortArtifacts(a.artifacts)
		l.sets[k] = a
	}
	return l, nil
}

type lockParser struct {
	lock    *Lock
	line    int
	version bool
	set     key // that lines of text belong to; zero where none can stand
}

func (p *lockParser) parse(text string) error {
	if strings.HasPrefix(text, "#") || strings.TrimSpace(text) == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(text, textMark); ok && p.version {
		return p.textLine(rest)
	}
	f, err := SplitFields(text)
	if err != nil {
		return err
	}
	switch {
	case !p.version:
		if f[0] != "hewn-lock" || len(f) != 2 {
			return fmt.Errorf("want `hewn-lock %d` first", lockVersion)
		}
		if f[1] != strconv.Itoa(lockVersion) {
			return fmt.Errorf("the lock has format version %s, this hewn reads version %d", f[1], lockVersion)
		}
		p.version = true
		return nil
	case f[0] == "set":
		return p.setLine(f[1:])
	case f[0] == "pin":
		return p.pinLine(f[1:])
	}
	return fmt.Errorf("unknown word `%s` at the start of a line", f[0])
}

func parsePlatform(s string) (platform.Platform, error) {
	if s == "any" {
		return platform.Platform{}, nil
	}
	return platform.Parse(s)
}

func formatPlatform(p platform.Platform) string {
	if p == (platform.Platform{}) {
		return "any"
	}
	return p.String()
}

func (p *lockParser) setLine(f []string) error {
	if len(f) < 3 {
		return fmt.Errorf("a `set` line needs ecosystem, name and platform")
	}
	plat, err := parsePlatform(f[2])
	if err != nil {
		return err
	}
	k := key{source.Ecosystem(f[0]), f[1], plat}
	if _, dup := p.lock.sets[k]; dup {
		return fmt.Errorf("the set `%s` stands twice", k)
	}
	p.lock.sets[k] = answer{request: f[3:]}
	p.set = k
	return nil
}

func (p *lockParser) pinLine(f []string) error {
	p.set = key{}
	if len(f) < 6 {
		return fmt.Errorf("a `pin` line needs ecosystem, platform, name, version, file, integrity and sets")
	}
	plat, err := parsePlatform(f[1])
	if err != nil {
		return err
	}
	a := source.Artifact{Ecosystem: source.Ecosystem(f[0]), Name: f[2], Version: dash(f[3]), File: f[4]}
	if f[5] != "-" {
		if a.Integrity, err = source.ParseIntegrity(f[5]); err != nil {
			return err
		}
	} else if a.Ecosystem != source.Git {
		return fmt.Errorf("the pin of `%s` has no integrity", a.Name)
	}
	var sets []string
	for _, kv := range f[6:] {
		k, v, ok := strings.Cut(kv, "=")
		switch {
		case ok && k == "size":
			if a.Size, err = strconv.ParseInt(v, 10, 64); err != nil || a.Size < 0 {
				return fmt.Errorf("`%s` is not a size", v)
			}
		case ok && k == "path":
			a.Path = v
		case ok && k == "url":
			a.URL = v
		case ok && k == "in":
			sets = strings.Split(v, ",")
		default:
			return fmt.Errorf("unknown field `%s`", kv)
		}
	}
	if len(sets) == 0 {
		return fmt.Errorf("the pin of `%s` is in no set", a.Name)
	}
	for _, s := range sets {
		k := key{a.Ecosystem, s, plat}
		ans, ok := p.lock.sets[k]
		if !ok {
			return fmt.Errorf("the pin of `%s` is in set `%s`, which no line above declares", a.Name, k)
		}
		ans.artifacts = append(ans.artifacts, a)
		p.lock.sets[k] = ans
	}
	return nil
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// Format is the file's text. ParseLock reads it back to an equal lock.
func (l *Lock) Format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by `hewn update`; commit it, and review its diffs.\nhewn-lock %d\n", lockVersion)
	keys := make([]key, 0, len(l.sets))
	for k := range l.sets {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.less(b) {
			return -1
		}
		return 1
	})
	type row struct {
		a    source.Artifact
		plat platform.Platform
	}
	in := map[row][]string{}
	for _, k := range keys {
		fields := []string{"set", string(k.eco), k.set, formatPlatform(k.plat)}
		b.WriteString(JoinFields(append(fields, l.sets[k].request...)) + "\n")
		for _, text := range l.sets[k].lines {
			b.WriteString(formatLine(text))
		}
		for _, a := range l.sets[k].artifacts {
			r := row{a, k.plat}
			in[r] = append(in[r], k.set)
		}
	}
	rows := make([]row, 0, len(in))
	for r := range in {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.a.Ecosystem, y.a.Ecosystem), compareArtifacts(x.a, y.a),
			cmp.Compare(x.plat.String(), y.plat.String()))
	})
	for _, r := range rows {
		fields := []string{"pin", string(r.a.Ecosystem), formatPlatform(r.plat), r.a.Name, orDash(r.a.Version), r.a.File, r.a.Integrity.String()}
		if r.a.Size > 0 {
			fields = append(fields, "size="+strconv.FormatInt(r.a.Size, 10))
		}
		if r.a.Path != "" {
			fields = append(fields, "path="+r.a.Path)
		}
		if r.a.URL != "" {
			fields = append(fields, "url="+r.a.URL)
		}
		fields = append(fields, "in="+strings.Join(in[r], ","))
		b.WriteString(JoinFields(fields) + "\n")
	}
	return b.Bytes()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func compareArtifacts(a, b source.Artifact) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.File, b.File))
}

func sortArtifacts(as []source.Artifact) { slices.SortFunc(as, compareArtifacts) }

// Artifacts answers from the lock; it is the Pins of every build. A question that the lock does not answer, or answers
// for another request, is a Problem that names `hewn update --missing`.
func (l *Lock) Artifacts(_ context.Context, q Question) ([]source.Artifact, error) {
	a, err := l.answer(q)
	return slices.Clone(a.artifacts), err
}

func (l *Lock) answer(q Question) (answer, error) {
	a, ok := l.sets[q.key()]
	pos := diag.Position{File: l.file, Key: q.key().String()}
	switch {
	case !ok:
		return answer{}, diag.Inputf("pin-missing", "nothing is pinned for this").At(pos).
			Hint("run `hewn update --missing%s` to pin what is missing, then commit `%s`", onPlatform(q.Platform), LockName)
	case !slices.Equal(a.request, q.Request):
		return answer{}, diag.Inputf("pin-stale", "what is pinned answers another request").At(pos).
			With("pinned for: "+JoinFields(a.request), "asked for:  "+JoinFields(q.Request)).
			Hint("run `hewn update --missing%s` to pin what is asked for now, then commit `%s`", onPlatform(q.Platform), LockName)
	}
	return a, nil
}

// onPlatform is the flag that a command needs for a platform that is not this machine's.
func onPlatform(p platform.Platform) string {
	if p == (platform.Platform{}) || p == platform.Host() {
		return ""
	}
	return " --platform " + p.String()
}

// Uses says whether anything of an ecosystem is pinned for a platform.
func (l *Lock) Uses(eco source.Ecosystem, plat platform.Platform) bool {
	for k := range l.sets {
		if k.eco == eco && k.plat == plat {
			return true
		}
	}
	return false
}

// Apart is a package that two sets pin at different versions.
type Apart struct {
	Name           string
	Sets, Versions [2]string
}

// Apart gives the packages of an ecosystem that sets of one platform pin at different versions, each once, by name.
// alike says whether the requests of two sets were meant to get the same.
func (l *Lock) Apart(eco source.Ecosystem, plat platform.Platform, alike func(a, b []string) bool) []Apart {
	var keys []key
	for k := range l.sets {
		if k.eco == eco && k.plat == plat {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(a.set, b.set) })
	type seen struct {
		k       key
		version string
	}
	first, out := map[string][]seen{}, map[string]Apart{}
	for _, k := range keys {
		for _, a := range l.sets[k].artifacts {
			for _, s := range first[a.Name] {
				if _, known := out[a.Name]; !known && s.version != a.Version && alike(l.sets[s.k].request, l.sets[k].request) {
					out[a.Name] = Apart{a.Name, [2]string{s.k.set, k.set}, [2]string{s.version, a.Version}}
				}
			}
			first[a.Name] = append(first[a.Name], seen{k, a.Version})
		}
	}
	return slices.SortedFunc(maps.Values(out), func(a, b Apart) int { return cmp.Compare(a.Name, b.Name) })
}

// SetsOf names the sets that hold an artifact, as `ecosystem set platform`.
func (l *Lock) SetsOf(a source.Artifact) []string {
	var out []string
	for k, ans := range l.sets {
		if slices.Contains(ans.artifacts, a) {
			out = append(out, k.String())
		}
	}
	slices.Sort(out)
	return out
}

// Change is one thing that moved between two locks.
type Change struct {
	Ecosystem source.Ecosystem
	Set       string
	Name      string
	Old, New  string // versions; empty where the artifact is not in the old or new lock
}

// String is one line for people.
func (c Change) String() string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("%s %s: + %s %s", c.Ecosystem, c.Set, c.Name, c.New)
	case c.New == "":
		return fmt.Sprintf("%s %s: - %s %s", c.Ecosystem, c.Set, c.Name, c.Old)
	}
	return fmt.Sprintf("%s %s: %s %s -> %s", c.Ecosystem, c.Set, c.Name, c.Old, c.New)
}

// Diff gives what moved from old to l, sorted.
func (l *Lock) Diff(old *Lock) []Change {
	type id struct {
		k    key
		name string
	}
	versions := func(l *Lock) map[id]string {
		m := map[id]string{}
		for k, a := range l.sets {
			for _, x := range a.artifacts {
				v := x.Version
				if x.Ecosystem == source.Git {
					v += " (" + x.File[:min(12, len(x.File))] + ")"
				}
				if o := m[id{k, x.Name}]; o != "" && o != v {
					v = o + ", " + v
				}
				m[id{k, x.Name}] = v
			}
			if t := tellText(a.lines); t != "" {
				m[id{k, "text"}] = t
			}
		}
		return m
	}
	was, is := versions(old), versions(l)
	var out []Change
	for i, v := range is {
		if was[i] != v {
			out = append(out, Change{i.k.eco, i.k.set, i.name, was[i], v})
		}
	}
	for i, v := range was {
		if _, ok := is[i]; !ok {
			out = append(out, Change{i.k.eco, i.k.set, i.name, v, ""})
		}
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Set, b.Set), cmp.Compare(a.Name, b.Name))
	})
	return out
}
