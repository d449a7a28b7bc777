// Package twice is an executor that runs every action two times and refuses what did not come out the same.
package twice

import (
	"context"
	"fmt"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// maxShown is how many differing paths a problem lists.
const maxShown = 20

// New wraps base; dirs has the directories of what base gives.
func New(base executor.Executor, dirs tree.Dirs) executor.Executor {
	return &runner{base: base, dirs: dirs}
}

type runner struct {
	base executor.Executor
	dirs tree.Dirs
}

// Execute runs r twice. The second run has no log for the caller: it says the same. A run that fails is not repeated,
// and a second run that fails where the first did not is a difference like any other.
func (x *runner) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	first, err := x.base.Execute(ctx, r)
	if err != nil || first.ExitCode != 0 || len(first.Missing) > 0 {
		return first, err
	}
	again := r
	again.Log = nil
	second, err := x.base.Execute(ctx, again)
	if err != nil {
		return nil, err
	}
	if second.Killed == "cancelled" {
		return second, nil
	}
	if second.ExitCode != 0 || len(second.Missing) > 0 {
		return nil, diag.Failf("not-reproducible", "`%s` succeeded once and then failed with exit code %d", r.Label, second.ExitCode).
			Hint("look for what depends on time, on the order of processes or on chance")
	}
	if first.Output == second.Output {
		return first, nil
	}
	lines, err := x.differences(ctx, first.Output, second.Output)
	if err != nil {
		return nil, err
	}
	return nil, diag.Failf("not-reproducible", "`%s` gave two different results", r.Label).With(lines...).
		Hint("look for times, random names, unsorted listings or paths of temporary directories in these files")
}

func (x *runner) differences(ctx context.Context, a, b tree.Tree) ([]string, error) {
	var lines []string
	more := 0
	err := tree.Diff(ctx, x.dirs, a, b, func(path string, old, now *tree.Entry) error {
		if len(lines) == maxShown {
			more++
			return nil
		}
		lines = append(lines, fmt.Sprintf("%s: %s, then %s", path, describe(old), describe(now)))
		return nil
	})
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines, err
}

func describe(e *tree.Entry) string {
	if e == nil {
		return "nothing"
	}
	return e.String()
}
