package diag

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
)

func TestPosition(t *testing.T) {
	for want, p := range map[string]Position{
		"":                   {},
		"f":                  {File: "f"},
		"f:3":                {File: "f", Line: 3},
		"f:3:4":              {File: "f", Line: 3, Col: 4},
		"f:3:4: `a.b`":       {File: "f", Line: 3, Col: 4, Key: "a.b"},
		"f: `a.b`":           {File: "f", Key: "a.b"},
		"`a.b`":              {Key: "a.b"},
		"column, no line: f": {},
	} {
		if want == "column, no line: f" {
			want, p = "f", Position{File: "f", Col: 4}
		}
		if got := p.String(); got != want {
			t.Errorf("%+v: got %q, want %q", p, got, want)
		}
	}
}

func TestProblem(t *testing.T) {
	p := Inputf("bad-value", "the value of %s", "`x`").
		At(Position{File: "hewn.toml", Line: 2}).Because(fs.ErrNotExist).
		Hint("write `%s`", "y").Hint("or leave it out").With("one", "two").With("three")
	if got, want := p.Error(), "hewn.toml:2: the value of `x`: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(p, fs.ErrNotExist) {
		t.Error("the cause is not unwrapped")
	}
	if !slices.Equal(p.Hints, []string{"write `y`", "or leave it out"}) || !slices.Equal(p.Detail, []string{"one", "two", "three"}) || p.Code != "bad-value" {
		t.Errorf("got %+v", p)
	}
	if got := Failf("x", "it failed").Error(); got != "it failed" {
		t.Errorf("without position and cause: got %q", got)
	}
}

func TestExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"nothing":      {nil, 0},
		"failed":       {Failf("x", "x"), 1},
		"input":        {Inputf("x", "x"), 2},
		"environment":  {Environmentf("x", "x"), 3},
		"other":        {errors.New("x"), 1},
		"wrapped":      {fmt.Errorf("while: %w", Environmentf("x", "x")), 3},
		"outermost":    {Failf("x", "x").Because(Inputf("y", "y")), 1},
		"first joined": {errors.Join(errors.New("x"), Inputf("y", "y"), Environmentf("z", "z")), 2},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
