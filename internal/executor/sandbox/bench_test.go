//go:build linux

package sandbox_test

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

// BenchmarkSteps runs trivial actions in a root that is one static shell, two at a time. bench/steps.sh gives the shell
// and runs the same under ninja and bwrap.
func BenchmarkSteps(b *testing.B) {
	shell := os.Getenv("HEWN_BENCH_SHELL")
	if shell == "" {
		b.Skip("HEWN_BENCH_SHELL names no static shell")
	}
	ctx := b.Context()
	sb, f, _ := setUp(b, sandbox.ModeAuto)
	s := f.Store
	raw, err := os.ReadFile(shell)
	if err != nil {
		b.Fatal(err)
	}
	d, _ := s.Put(ctx, raw)
	bl := tree.NewBuilder()
	bl.File("/bin/sh", d, true)
	root, _ := bl.Build(ctx, s)
	jobs, _ := strconv.Atoi(os.Getenv("HEWN_BENCH_JOBS"))
	b.ResetTimer()
	var g errgroup.Group
	g.SetLimit(max(2, jobs))
	for i := range b.N {
		g.Go(func() error {
			a, err := action.New(action.Action{Root: root, Args: []string{"sh", "-c", "echo " + strconv.Itoa(i) + " >/out"}, Outputs: []string{"/out"}, Platform: platform.Host()}, nil)
			if err != nil {
				return err
			}
			out, err := sb.Execute(ctx, executor.Request{Action: a, Label: "step"})
			if err == nil && (out.ExitCode != 0 || out.Output.IsZero()) {
				b.Errorf("step %d: %+v", i, out)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRoots runs an action with one further root, in which its driver starts one process.
func BenchmarkRoots(b *testing.B) {
	_, f, _ := setUp(b, sandbox.ModeAuto)
	r := f.Request(b, executortest.Run{Args: []string{"drive", `run:a:{"root":"image","args":["/bin/helper","true"]}`}, Further: []executortest.Further{{Name: "image", ReadOnly: true}}})
	b.ResetTimer()
	for b.Loop() {
		if out, err := f.Executor.Execute(b.Context(), r); err != nil || out.ExitCode != 0 {
			b.Fatalf("%+v, %v", out, err)
		}
	}
}
