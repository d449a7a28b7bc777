// Package diag is what goes wrong, as a value: a Problem that a person can act on.
//
// Libraries return Problems (or errors that wrap one) and never print. One place, package ui, turns them into text.
package diag

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says whose turn it is, and with which code the process ends.
type Kind int

const (
	// Failed: the build, a check or a download did not succeed. Exit code 1.
	Failed Kind = iota
	// BadInput: wrong usage, or a file that does not say what it must. Exit code 2.
	BadInput
	// Environment: this machine cannot do it; `hewn doctor` says why. Exit code 3.
	Environment
)

// ExitCode is the process's exit code for a problem of this kind.
func (k Kind) ExitCode() int { return int(k) + 1 }

// Position is a place in a file. Line and Col count from 1; 0 means unknown. Key is a dotted key where the format has keys.
type Position struct {
	File string
	Line int
	Col  int
	Key  string
}

// String is `file:line:col: key`, as much of it as is known.
func (p Position) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Col > 0 {
			fmt.Fprintf(&b, ":%d", p.Col)
		}
	}
	if p.Key != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString("`" + p.Key + "`")
	}
	return b.String()
}

// Problem is one thing that went wrong, in the words of the person who has to mend it.
type Problem struct {
	Kind   Kind
	Code   string   // stable and short, for machines and docs: "pin-missing", "hash-mismatch"
	What   string   // what failed, lower case, no full stop: "cannot build target `webui`"
	Pos    Position // where, if a file is to blame
	Cause  error    // why; may be nil
	Detail []string // further lines: the end of a log, the two origins of a conflict
	Hints  []string // what to do next, each one step
}

// Error is one line: position, what, cause.
func (p *Problem) Error() string {
	var b strings.Builder
	if s := p.Pos.String(); s != "" {
		b.WriteString(s + ": ")
	}
	b.WriteString(p.What)
	if p.Cause != nil {
		b.WriteString(": " + p.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Failf is a Problem of kind Failed.
func Failf(code, format string, args ...any) *Problem { return newf(Failed, code, format, args) }

// Inputf is a Problem of kind BadInput.
func Inputf(code, format string, args ...any) *Problem { return newf(BadInput, code, format, args) }

// Environmentf is a Problem of kind Environment.
func Environmentf(code, format string, args ...any) *Problem {
	return newf(Environment, code, format, args)
}

func newf(k Kind, code, format string, args []any) *Problem {
	return &Problem{Kind: k, Code: code, What: fmt.Sprintf(format, args...)}
}

// At sets the position and returns p.
func (p *Problem) At(pos Position) *Problem { p.Pos = pos; return p }

// Because sets the cause and returns p.
func (p *Problem) Because(err error) *Problem { p.Cause = err; return p }

// Hint adds a next step and returns p.
func (p *Problem) Hint(format string, args ...any) *Problem {
	p.Hints = append(p.Hints, fmt.Sprintf(format, args...))
	return p
}

// With adds lines of detail and returns p.
func (p *Problem) With(lines ...string) *Problem { p.Detail = append(p.Detail, lines...); return p }

// ExitCode is the code with which the process ends because of err: that of the outermost Problem in it, else 1.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind.ExitCode()
	}
	return Failed.ExitCode()
}
