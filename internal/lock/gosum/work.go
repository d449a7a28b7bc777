package gosum

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"hewn.example/hewn/internal/diag"
)

// Work is what a go.work says.
type Work struct {
	Lines
	Use []string // directories as they are written
}

// ParseWork reads a go.work.
func ParseWork(file string, b []byte) (*Work, error) {
	f, err := modfile.ParseWork(file, b, nil)
	if err != nil {
		return nil, malformed("go.work", file, err)
	}
	w := &Work{Lines: linesOf(f.Go, f.Toolchain, f.Replace)}
	for _, u := range f.Use {
		w.Use = append(w.Use, u.Path)
	}
	return w, nil
}

func malformed(what, file string, err error) *diag.Problem {
	p := diag.Inputf("lock-value", "malformed %s", what).At(diag.Position{File: file})
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		p.Pos.Line, p.Pos.Col = list[0].Pos.Line, list[0].Pos.LineRune
		return p.Because(list[0].Err)
	}
	return p.Because(err)
}

// Vendored is a module as vendor/modules.txt has it.
type Vendored struct {
	module.Version
	New      module.Version // what replaces it; zero: nothing
	Explicit bool           // go.mod names it
	Line     int
}

// ParseVendor reads a vendor/modules.txt. Packages and annotations that say nothing of modules are passed over.
func ParseVendor(file string, b []byte) ([]Vendored, error) {
	var out []Vendored
	line := 0
	for text := range strings.Lines(string(b)) {
		line++
		text = strings.TrimSpace(text)
		if notes, ok := strings.CutPrefix(text, "## "); ok {
			for note := range strings.SplitSeq(notes, ";") {
				if strings.TrimSpace(note) == "explicit" && len(out) > 0 {
					out[len(out)-1].Explicit = true
				}
			}
			continue
		}
		rest, ok := strings.CutPrefix(text, "# ")
		if !ok {
			continue
		}
		v, err := parseVendored(strings.Fields(rest))
		if err != nil {
			return nil, diag.Inputf("lock-value", "malformed modules.txt").At(diag.Position{File: file, Line: line}).Because(err).
				Hint("run `go mod vendor`, and commit the result")
		}
		v.Line = line
		out = append(out, v)
	}
	return out, nil
}

// parseVendored reads `path version`, `path version => path [version]` or `path => path [version]`.
func parseVendored(f []string) (Vendored, error) {
	var v Vendored
	take := func() (m module.Version) {
		for len(f) > 0 && f[0] != "=>" {
			switch {
			case m.Path == "":
				m.Path = f[0]
			case m.Version == "":
				m.Version = f[0]
			default:
				return module.Version{}
			}
			f = f[1:]
		}
		return m
	}
	v.Version = take()
	if len(f) > 0 {
		f = f[1:]
		v.New = take()
	}
	if v.Path == "" || len(f) > 0 {
		return v, fmt.Errorf("want `# module version`, or `# module version => replacement`")
	}
	return v, nil
}

// CheckVendor compares vendor/modules.txt with go.mod as the go command does, and says what differs.
func (m *Mod) CheckVendor(file string, vendored []Vendored) error {
	byPath := map[string]Vendored{}
	anyReplaced := map[module.Version]Vendored{}
	for _, v := range vendored {
		if v.Version.Version != "" {
			byPath[v.Path] = v
		}
		if v.New.Path != "" {
			anyReplaced[v.Version] = v
		}
	}
	var found []string
	line := 0
	differs := func(at int, format string, args ...any) {
		if line == 0 {
			line = at
		}
		found = append(found, fmt.Sprintf(format, args...))
	}
	required := map[string]string{}
	for _, r := range m.Require {
		required[r.Path] = r.Version.Version
		v, ok := byPath[r.Path]
		switch {
		case !ok:
			differs(0, "go.mod requires %s %s, which is not vendored", r.Path, r.Version.Version)
		case v.Version != r.Version:
			differs(v.Line, "go.mod requires %s %s, vendored is %s", r.Path, r.Version.Version, v.Version.Version)
		case !v.Explicit:
			differs(v.Line, "go.mod requires %s, which is not marked as explicit", r.Path)
		}
	}
	for _, v := range vendored {
		if v.Explicit && v.Version.Version != "" && required[v.Path] == "" {
			differs(v.Line, "%s is marked as explicit, but go.mod does not require it", v.Path)
		}
	}
	for _, r := range m.Replace {
		v, ok := anyReplaced[r.Old]
		if !ok && r.Old.Version == "" {
			v, ok = byPath[r.Old.Path], byPath[r.Old.Path].New.Path != ""
		}
		if !ok || v.New != r.New {
			differs(v.Line, "go.mod replaces %s by %s, the vendored modules do not", r.Old.Path, r.New)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return diag.Inputf("go-vendor", "the vendored modules are not those of go.mod: %s", found[0]).
		At(diag.Position{File: file, Line: line}).With(found[1:]...).Hint("run `go mod vendor`, and commit the result")
}
