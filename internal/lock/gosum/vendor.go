package gosum

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"hewn.example/hewn/internal/diag"
)

// Vendor is what a vendor/modules.txt says.
type Vendor struct {
	File      string
	Workspace bool // it was made by `go work vendor`
	Modules   []Vendored
	packages  map[string]bool
}

// Vendored is a module as vendor/modules.txt has it.
type Vendored struct {
	module.Version                // an empty version: any
	New            module.Version // what replaces it; zero: nothing
	Explicit       bool           // a go.mod names it
	Used           bool           // it has packages in the directory
	Line           int
}

// Has says whether a package is vendored.
func (v *Vendor) Has(importPath string) bool { return v.packages[importPath] }

// ParseVendor reads a vendor/modules.txt as the go command does: what it does not know it passes over. What lacks shows
// in Check.
func ParseVendor(file string, b []byte) *Vendor {
	v := &Vendor{File: file, packages: map[string]bool{}}
	at := map[module.Version]int{}
	now, line := -1, 0
	for text := range strings.Lines(string(b)) {
		line++
		text = strings.TrimRight(text, "\r\n")
		if rest, ok := strings.CutPrefix(text, "# "); ok {
			m, ok := parseVendored(strings.Fields(rest))
			if now = -1; !ok {
				continue
			}
			i, again := at[m.Version]
			if !again {
				i = len(v.Modules)
				at[m.Version], v.Modules = i, append(v.Modules, Vendored{Version: m.Version, Line: line})
			}
			if now = i; m.New.Path != "" {
				v.Modules[i].New = m.New
			}
			continue
		}
		if notes, ok := strings.CutPrefix(text, "## "); ok {
			for note := range strings.SplitSeq(notes, ";") {
				note = strings.TrimSpace(note)
				v.Workspace = v.Workspace || line == 1 && note == "workspace"
				if note == "explicit" && now >= 0 {
					v.Modules[now].Explicit = true
				}
			}
			continue
		}
		if f := strings.Fields(text); now >= 0 && len(f) == 1 {
			v.packages[f[0]], v.Modules[now].Used = true, true
		}
	}
	return v
}

// parseVendored reads `path version`, `path version => path [version]` or `path => path [version]`.
func parseVendored(f []string) (v Vendored, ok bool) {
	switch {
	case len(f) >= 2 && semver.IsValid(f[1]):
		v.Version = module.Version{Path: f[0], Version: f[1]}
		f = f[2:]
	case len(f) >= 2 && f[1] == "=>":
		v.Version = module.Version{Path: f[0]}
		f = f[1:]
	default:
		return v, false
	}
	switch {
	case len(f) == 2 && f[0] == "=>":
		v.New = module.Version{Path: f[1]}
	case len(f) == 3 && f[0] == "=>" && semver.IsValid(f[2]):
		v.New = module.Version{Path: f[1], Version: f[2]}
	}
	return v, true
}

// Check compares the vendored modules with the go.mod of each main module as the go command does, and says what differs.
// work is nil where there is one module only.
func (v *Vendor) Check(work *Work, mods []*Mod) error {
	have := map[module.Version]Vendored{}
	versions := map[string]string{}
	for _, m := range v.Modules {
		have[m.Version] = m
		if m.Version.Version != "" {
			versions[m.Path] = m.Version.Version
		}
	}
	c := vendorCheck{work: work, mods: mods, required: map[module.Version]bool{}}
	for _, m := range mods {
		for _, r := range m.Require {
			c.required[r.Version] = true
			switch of, ok := have[r.Version]; {
			case !ok && versions[r.Path] != "":
				c.differs(0, "%s requires %s %s, vendored is %s", m.File, r.Path, r.Version.Version, versions[r.Path])
			case !ok:
				c.differs(0, "%s requires %s %s, which is not vendored", m.File, r.Path, r.Version.Version)
			case !of.Explicit:
				c.differs(of.Line, "%s requires %s, which is not marked as explicit", m.File, r.Path)
			}
		}
	}
	for _, m := range mods {
		c.replaced(m.File, m.Replace, have)
	}
	if work != nil {
		c.replaced("go.work", work.Replace, have)
	}
	for _, m := range v.Modules {
		if m.Explicit && m.Used && !c.required[m.Version] {
			c.differs(m.Line, "%s is marked as explicit, but no go.mod requires it", m.Path)
		}
		if m.New.Path != "" && c.replacement(m.Version).Path == "" {
			c.differs(m.Line, "%s is marked as replaced, but nothing replaces it", m.Path)
		}
	}
	if len(c.found) == 0 {
		return nil
	}
	what, redo := "go.mod", "go mod vendor"
	if work != nil {
		what, redo = "the workspace", "go work vendor"
	}
	return diag.Inputf("go-vendor", "the vendored modules are not those of %s: %s", what, c.found[0]).
		At(diag.Position{File: v.File, Line: c.line}).With(c.found[1:]...).Hint("run `%s`, and commit the result", redo)
}

// vendorCheck collects what differs.
type vendorCheck struct {
	work     *Work
	mods     []*Mod
	required map[module.Version]bool
	found    []string
	line     int // the first that is known
}

func (c *vendorCheck) differs(line int, format string, args ...any) {
	if c.line == 0 {
		c.line = line
	}
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *vendorCheck) replaced(file string, list []Replace, have map[module.Version]Vendored) {
	for _, r := range list {
		to, was := c.replacement(r.Old), have[r.Old]
		switch {
		case was.New == to:
		case was.New.Path == "":
			c.differs(was.Line, "%s replaces %s by %s, the vendored modules do not", file, r.Old, to)
		default:
			c.differs(was.Line, "%s replaces %s by %s, the vendored modules by %s", file, r.Old, to, was.New)
		}
	}
}

// replacement is what stands in for a module in all that is built together, with directories as go.work would have them.
func (c *vendorCheck) replacement(m module.Version) module.Version {
	if c.work != nil {
		if to, ok := ReplacementOf(c.work.Replace, m); ok {
			return to
		}
	}
	for _, mod := range c.mods {
		if m == (module.Version{Path: mod.Path}) {
			return module.Version{}
		}
	}
	for _, mod := range c.mods {
		to, ok := ReplacementOf(mod.Replace, m)
		if ok && to.Version == "" && c.work != nil && !path.IsAbs(to.Path) {
			if to.Path = path.Join(path.Dir(mod.File), to.Path); !modfile.IsDirectoryPath(to.Path) {
				to.Path = "./" + to.Path
			}
		}
		if ok {
			return to
		}
	}
	return module.Version{}
}

// ReplacementOf is what a list of replace lines puts in the place of m, a line for its version before one for all.
func ReplacementOf(list []Replace, m module.Version) (to module.Version, ok bool) {
	for _, old := range []module.Version{m, {Path: m.Path}} {
		for _, r := range list {
			if r.Old == old {
				return r.New, true
			}
		}
	}
	return m, false
}
