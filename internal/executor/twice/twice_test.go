package twice_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/twice"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// fake gives its outcomes in turn.
type fake struct {
	outcomes []*executor.Outcome
	logs     []io.Writer
}

func (f *fake) Execute(_ context.Context, r executor.Request) (*executor.Outcome, error) {
	f.logs = append(f.logs, r.Log)
	out := f.outcomes[0]
	f.outcomes = f.outcomes[1:]
	if out == nil {
		return nil, errors.New("the executor is broken")
	}
	return out, nil
}

func TestTwice(t *testing.T) {
	s := memory.New()
	made := func(content string) *executor.Outcome {
		d, err := s.Put(t.Context(), []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		b := tree.NewBuilder()
		if err := b.File("out/stamp", d, false); err != nil {
			t.Fatal(err)
		}
		tr, err := b.Build(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return &executor.Outcome{Output: tr}
	}
	failed := &executor.Outcome{ExitCode: 3}
	for _, c := range []struct {
		name     string
		outcomes []*executor.Outcome
		runs     int
		err      string
		code     int
	}{
		{"same", []*executor.Outcome{made("a"), made("a")}, 2, "", 0},
		{"different", []*executor.Outcome{made("a"), made("b")}, 2, "two different results", 0},
		{"fails", []*executor.Outcome{failed}, 1, "", 3},
		{"fails later", []*executor.Outcome{made("a"), failed}, 2, "succeeded once", 0},
		{"broken", []*executor.Outcome{made("a"), nil}, 2, "broken", 0},
		{"cancelled", []*executor.Outcome{made("a"), {ExitCode: 137, Killed: "cancelled"}}, 2, "", 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{outcomes: c.outcomes}
			out, err := twice.New(f, s).Execute(t.Context(), executor.Request{Label: "step", Log: io.Discard})
			if len(f.logs) != c.runs {
				t.Errorf("%d runs, want %d", len(f.logs), c.runs)
			}
			if c.runs == 2 && f.logs[1] != nil {
				t.Error("the second run writes to the log")
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v", err)
				}
				var p *diag.Problem
				if c.name == "different" && (!errors.As(err, &p) || len(p.Detail) != 1 || !strings.HasPrefix(p.Detail[0], "out/stamp: file of 1 bytes")) {
					t.Errorf("%+v", p)
				}
				return
			}
			if err != nil || out.ExitCode != c.code {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}
