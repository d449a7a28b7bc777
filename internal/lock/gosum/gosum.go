// Package gosum reads go.sum and go.mod into plain values. Reading is pure; the grammar of go.mod is that of the go
// command's own library.
package gosum

import (
	"bytes"
	"errors"
	"fmt"
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

// Parse reads a go.sum. file is the name for errors, which are *diag.Problem with file, line and key. Lines that say
// the same twice count once; two hashes for one thing are an error.
func Parse(file string, b []byte) ([]Sum, error) {
	var out []Sum
	type thing struct {
		path, version string
		mod           bool
	}
	seen := map[thing]int{}
	line := 0
	for len(b) > 0 {
		var text []byte
		text, b, _ = bytes.Cut(b, []byte("\n"))
		line++
		f := strings.Fields(string(text))
		if len(f) == 0 {
			continue
		}
		s, err := parseLine(f)
		s.File, s.Line = file, line
		if err != nil {
			return nil, problem(file, line, f[0], err)
		}
		t := thing{s.Path, s.Version, s.Mod}
		if i, twice := seen[t]; twice {
			if out[i].Hash != s.Hash {
				return nil, problem(file, line, f[0], fmt.Errorf("line %d has another hash for the same", out[i].Line))
			}
			continue
		}
		seen[t] = len(out)
		out = append(out, s)
	}
	return out, nil
}

func problem(file string, line int, key string, err error) *diag.Problem {
	return diag.Inputf("lock-value", "malformed go.sum").At(diag.Position{File: file, Line: line, Key: key}).Because(err).
		Hint("run `go mod verify`, or remove the file and run `go mod tidy`")
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
		l.Replace = append(l.Replace, Replace{Old: r.Old, New: r.New})
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
	m := &Mod{Lines: linesOf(f.Go, f.Toolchain, f.Replace), File: file, Path: f.Module.Mod.Path}
	for _, r := range f.Require {
		m.Require = append(m.Require, Require{r.Mod, r.Syntax.Start.Line})
	}
	for _, e := range f.Exclude {
		m.Exclude = append(m.Exclude, e.Mod)
	}
	return m, nil
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
