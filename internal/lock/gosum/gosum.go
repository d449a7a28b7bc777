// Package gosum reads go.sum and go.mod into plain values. Reading is pure; the grammar of go.mod is that of the go
// command's own library.
package gosum

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/source"
)

// Sum is one line of a go.sum: the hash of a module's zip, or of its go.mod alone.
type Sum struct {
	Path    string
	Version string
	Mod     bool // the line is about go.mod only
	Hash    source.Integrity
	File    string // the go.sum, as Parse was told
	Line    int
}

// noModHash is the hash of an empty go.mod, which early go commands wrote for what is no module. The go command passes
// over such lines.
const noModHash = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY="

// Parse reads a go.sum. file is the name for errors, which are *diag.Problem with file, line and key. Lines that say
// the same twice count once; two hashes for one thing are an error. Lines with a hash of a kind that is to come (h2) are
// passed over, as by the go command, if there is one that is known beside it.
func Parse(file string, b []byte) ([]Sum, error) {
	var out []Sum
	type thing struct {
		path, version string
		mod           bool
	}
	seen, newer := map[thing]int{}, map[thing]Sum{}
	line := 0
	for len(b) > 0 {
		var text []byte
		text, b, _ = bytes.Cut(b, []byte("\n"))
		line++
		f := strings.Fields(string(text))
		if len(f) == 0 {
			continue
		}
		if len(f) == 3 && f[2] == noModHash {
			continue
		}
		s, err := parseLine(f)
		s.File, s.Line = file, line
		if err != nil {
			return nil, problem(file, line, f[0], err)
		}
		t := thing{s.Path, s.Version, s.Mod}
		if s.Hash.IsZero() {
			newer[t] = s
			continue
		}
		if i, twice := seen[t]; twice {
			if out[i].Hash != s.Hash {
				return nil, problem(file, line, f[0], fmt.Errorf("line %d has another hash for the same", out[i].Line))
			}
			continue
		}
		seen[t] = len(out)
		out = append(out, s)
	}
	var only *Sum // the first
	for t, s := range newer {
		if _, known := seen[t]; !known && (only == nil || s.Line < only.Line) {
			only = &s
		}
	}
	if only != nil {
		return nil, diag.Inputf("lock-version", "the hash is of a newer kind than h1, which alone is known").
			At(diag.Position{File: file, Line: only.Line, Key: only.Path}).
			Hint("use a newer hewn, or remove the line and run `go mod tidy` with a go command that writes h1")
	}
	return out, nil
}

// newKind is a hash as a later go command may write it: `h2:…`.
var newKind = regexp.MustCompile(`^h([2-9]|[1-9][0-9]+):`)

func problem(file string, line int, key string, err error) *diag.Problem {
	p := diag.Inputf("lock-value", "malformed go.sum").At(diag.Position{File: file, Line: line, Key: printable(key)}).Because(err)
	if conflictMark(key) {
		return p.Hint("this is a conflict of a merge: keep the lines of both sides, remove the marks, and run `go mod tidy`")
	}
	return p.Hint("remove the line, or the file, and run `go mod tidy`")
}

// printable is a word of a file as it may stand in a message.
func printable(word string) string {
	if q := strconv.Quote(word); q != `"`+word+`"` {
		return q
	}
	return word
}

// conflictMark says that a word is what git leaves where two sides have changed the same lines.
func conflictMark(word string) bool {
	return strings.HasPrefix(word, "<<<<<<<") || strings.HasPrefix(word, "=======") || strings.HasPrefix(word, ">>>>>>>")
}

func parseLine(f []string) (Sum, error) {
	if len(f) != 3 {
		return Sum{}, fmt.Errorf("want `module version hash`, got %d words", len(f))
	}
	s := Sum{Path: f[0]}
	s.Version, s.Mod = strings.CutSuffix(f[1], "/go.mod")
	if err := module.Check(s.Path, s.Version); err != nil {
		var e *module.ModuleError
		if errors.As(err, &e) {
			err = e.Err
		}
		return s, err
	}
	if newKind.MatchString(f[2]) {
		return s, nil
	}
	var err error
	if s.Hash, err = source.ParseIntegrity(f[2]); err != nil {
		return s, err
	}
	if s.Hash.Algorithm() != source.H1 {
		return s, fmt.Errorf("%s: only h1 hashes are known", s.Hash)
	}
	return s, nil
}

// Lines is what go.mod and go.work both say.
type Lines struct {
	Go        string    // of the go line: "1.24.3", "1.26"; empty if there is none
	Toolchain string    // of the toolchain line: "go1.24.6"; empty if there is none, or "default"
	Replace   []Replace // those of a go.work stand above those of its modules
}

func linesOf(line *modfile.Go, toolchain *modfile.Toolchain, replace []*modfile.Replace) (l Lines) {
	if line != nil {
		l.Go = line.Version
	}
	if toolchain != nil && toolchain.Name != "default" {
		l.Toolchain = toolchain.Name
	}
	for _, r := range replace {
		l.Replace = append(l.Replace, Replace{Old: r.Old, New: r.New, Line: r.Syntax.Start.Line})
	}
	return l
}

// Mod is what a go.mod says.
type Mod struct {
	Lines
	File    string // as ParseMod was told
	Path    string // of the main module
	Require []Require
	Exclude []module.Version
}

// Require is a require line.
type Require struct {
	module.Version
	Line int
}

// Replace is a replace line.
type Replace struct {
	Old, New module.Version // Old.Version empty: all versions. New.Version empty: New.Path is a directory
	Line     int
}

// Local says that the replacement is a directory.
func (r Replace) Local() bool { return r.New.Version == "" }

// ParseMod reads a go.mod.
func ParseMod(file string, b []byte) (*Mod, error) {
	f, err := modfile.Parse(file, b, nil)
	if err == nil && f.Module == nil {
		err = errors.New("there is no module line")
	}
	if err != nil {
		return nil, malformed("go.mod", file, err)
	}
	if err := contradiction(file, f); err != nil {
		return nil, err
	}
	m := &Mod{Lines: linesOf(f.Go, f.Toolchain, f.Replace), File: file, Path: f.Module.Mod.Path}
	for _, r := range f.Require {
		m.Require = append(m.Require, Require{r.Mod, r.Syntax.Start.Line})
	}
	for _, e := range f.Exclude {
		m.Exclude = append(m.Exclude, e.Mod)
	}
	return m, nil
}

// contradiction finds lines of which the go command takes one and wants to write go.mod anew, or none.
func contradiction(file string, f *modfile.File) error {
	fault := func(line int, key, format string, args ...any) error {
		return diag.Inputf("lock-stale", format, args...).At(diag.Position{File: file, Line: line, Key: key}).
			Hint("run `go mod tidy`, and commit the result")
	}
	excluded := map[module.Version]bool{}
	for _, e := range f.Exclude {
		excluded[e.Mod] = true
	}
	first := map[string]*modfile.Require{}
	for _, r := range f.Require {
		if was := first[r.Mod.Path]; was != nil && was.Mod != r.Mod {
			return fault(r.Syntax.Start.Line, r.Mod.Path, "go.mod requires it in two versions: %s here, %s in line %d", r.Mod.Version, was.Mod.Version, was.Syntax.Start.Line)
		}
		first[r.Mod.Path] = r
		if excluded[r.Mod] {
			return fault(r.Syntax.Start.Line, r.Mod.Path, "go.mod requires %s, and excludes it", r.Mod.Version)
		}
	}
	return conflict(file, f.Replace)
}

// conflict refuses two replace lines for one module.
func conflict(file string, list []*modfile.Replace) error {
	first := map[module.Version]*modfile.Replace{}
	for _, r := range list {
		if was := first[r.Old]; was != nil && was.New != r.New {
			return diag.Inputf("lock-value", "it is replaced twice: by %s here, by %s in line %d", r.New, was.New, was.Syntax.Start.Line).
				At(diag.Position{File: file, Line: r.Syntax.Start.Line, Key: "replace " + r.Old.Path}).Hint("remove one of the two lines")
		}
		first[r.Old] = r
	}
	return nil
}

// ModuleOf names the module that provides a package: of the main module and those required, the one with the longest
// path that the import path begins with. ok is false for the standard library and for what nothing provides.
func (m *Mod) ModuleOf(importPath string) (path string, ok bool) {
	has := func(mod string) bool {
		return importPath == mod || strings.HasPrefix(importPath, mod+"/")
	}
	if has(m.Path) {
		path, ok = m.Path, true
	}
	for _, r := range m.Require {
		if has(r.Path) && len(r.Path) > len(path) {
			path, ok = r.Path, true
		}
	}
	return path, ok
}
