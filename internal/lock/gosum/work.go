package gosum

import (
	"errors"
	"strings"

	"golang.org/x/mod/modfile"

	"hewn.example/hewn/internal/diag"
)

// Work is what a go.work says.
type Work struct {
	Lines
	Use     []string // directories as they are written
	Godebug []Godebug
}

// Godebug is a setting of a godebug line.
type Godebug struct{ Key, Value string }

// ParseWork reads a go.work.
func ParseWork(file string, b []byte) (*Work, error) {
	f, err := modfile.ParseWork(file, b, nil)
	if err != nil {
		return nil, malformed("go.work", file, err)
	}
	if err := conflict(file, f.Replace); err != nil {
		return nil, err
	}
	w := &Work{Lines: linesOf(f.Go, f.Toolchain, f.Replace)}
	for _, u := range f.Use {
		w.Use = append(w.Use, u.Path)
	}
	for _, d := range f.Godebug {
		w.Godebug = append(w.Godebug, Godebug{d.Key, d.Value})
	}
	return w, nil
}

func malformed(what, file string, err error) *diag.Problem {
	p := diag.Inputf("lock-value", "malformed %s", what).At(diag.Position{File: file})
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		p.Pos.Line, p.Pos.Col, err = list[0].Pos.Line, list[0].Pos.LineRune, list[0].Err
		if at := strings.LastIndex(err.Error(), " "); conflictMark(err.Error()[at+1:]) {
			return p.Because(err).Hint("this is a conflict of a merge: keep the lines of both sides, remove the marks, and run `go mod tidy`")
		}
	}
	return p.Because(err).Hint("mend the line, or take the file from before the change")
}
