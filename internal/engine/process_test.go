package engine_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store/disk"
)

// storeVariable, when set, makes the test binary one of several processes that build the same thing in one store.
const storeVariable = "ENGINE_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(storeVariable); dir != "" {
		if err := buildInStore(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tally is an executor that writes a line into a file for every action that it runs.
type tally struct {
	base *fakeExecutor
	file string
}

func (x tally) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	f, err := os.OpenFile(x.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, r.Label)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Millisecond)
	return x.base.Execute(ctx, r)
}

func buildInStore(dir string) error {
	s, err := disk.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	e, err := engine.New(engine.Config{
		Store: s, Executor: tally{&fakeExecutor{store: s}, filepath.Join(dir, "ran")}, Traces: s, Locks: s, Platform: testPlatform,
	})
	if err != nil {
		return err
	}
	_, err = e.Build(context.Background(), lattice(60, engine.Tree(emptyTree)))
	return err
}

// Several processes that build the same thing at once run each step once.
func TestProcessesShareWork(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			c := exec.CommandContext(t.Context(), self)
			c.Env = append(os.Environ(), storeVariable+"="+dir)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, label := range strings.Fields(string(b)) {
		seen[label]++
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 steps ran", len(seen))
	}
	for label, n := range seen {
		if n > 1 {
			t.Errorf("%s ran %d times", label, n)
		}
	}
}

// Two engines over one store and one set of locks, as two processes would be.
func TestEnginesShareWork(t *testing.T) {
	w := newWorld(t)
	w.executor.delay = 5 * time.Millisecond // longer than a step waits in its pool
	s := lattice(40, engine.Tree(emptyTree))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if _, err := w.engine().Build(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if ran := w.executor.ran.take(); strings.Contains(ran, "*") || len(strings.Fields(ran)) != 40 {
		t.Errorf("ran %s", ran)
	}
}

// Many calls of one engine at once run each step once.
func TestOneEngineManyCalls(t *testing.T) {
	w := newWorld(t)
	w.executor.delay = time.Millisecond
	w.sources["app"] = map[string]string{"a": "1"}
	s := w.target("app", returns(lattice(60, engine.Source("app"))))
	e := w.engine()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := e.Build(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if ran := w.executor.ran.take(); strings.Contains(ran, "*") {
		t.Errorf("ran %s", ran)
	}
	check(t, "planned", w.planned.take(), "app")
}

// What waits is no goroutine: not for a place in a budget, not for an input.
func TestFewGoroutines(t *testing.T) {
	w := newWorld(t)
	most := 0
	w.limits.Actions = 1 // so that most needs no lock
	w.executor.outcome = func(executor.Request) *executor.Outcome {
		most = max(most, runtime.NumGoroutine())
		return nil
	}
	before := runtime.NumGoroutine()
	var parts []engine.Part
	for i := range 3000 {
		parts = append(parts, engine.Part{Step: command(fmt.Sprint("s", i), []string{"write", fmt.Sprint(i)}), At: fmt.Sprint("/", i)})
	}
	w.build(engine.Merge("all", parts...))
	if most > before+50 {
		t.Errorf("%d goroutines, %d before", most, before)
	}
}
