package engine_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
)

// lattice is n actions, 20 wide, each on 1 to 3 of the layer before, and all on bottom.
func lattice(n int, bottom engine.Static) engine.Step {
	const wide = 20
	before := []engine.Step{bottom.Step}
	for done := 0; done < n; {
		var layer []engine.Step
		for i := 0; i < wide && done < n; i++ {
			var in []engine.Layer
			for k := 0; k < 1+done%3; k++ {
				in = append(in, engine.Layer{Step: before[(i+k*7)%len(before)], At: fmt.Sprint("/in", k)})
			}
			name := fmt.Sprint("step", done)
			layer = append(layer, engine.Run(name, engine.Command{Args: []string{"write", name}, Layers: in, Outputs: []string{"/out"}}))
			done++
		}
		before = layer
	}
	var parts []engine.Part
	for i, s := range before {
		parts = append(parts, engine.Part{Step: s, At: fmt.Sprint("/", i)})
	}
	return engine.Merge("all", parts...)
}

// BenchmarkEveryStepCached is the engine's part of a build in which the key of every step is made and found in the cache:
// the worst case of a build in which something at the bottom has changed to no effect.
func BenchmarkEveryStepCached(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		s := lattice(n, engine.Source("app"))
		b.Run(fmt.Sprint("memory/", n), func(b *testing.B) {
			w := newWorld(b)
			w.sources["app"] = map[string]string{"main.c": "int main"}
			w.events.off, w.paranoid = true, true
			w.build(s)
			defer cpu(b)()
			for b.Loop() {
				w.benchBuild(b, s)
			}
			if got := w.engine().Stats(s).Total; got != n+1 {
				b.Errorf("%d steps", got)
			}
		})
		b.Run(fmt.Sprint("disk/", n), func(b *testing.B) {
			w := newWorld(b)
			w.sources["app"] = map[string]string{"main.c": "int main"}
			w.events.off, w.paranoid = true, true
			dir := b.TempDir()
			w.useDisk(b, dir)
			w.build(s)
			if err := w.store.(*disk.Store).Close(); err != nil {
				b.Fatal(err)
			}
			defer cpu(b)()
			for b.Loop() {
				w.useDisk(b, dir)
				w.benchBuild(b, s)
				b.StopTimer()
				_ = w.store.(*disk.Store).Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkNothingChanged is the engine's part of a build in which nothing has changed, without a build record: the trace
// of a plan that gives a large graph, then one look-up.
func BenchmarkNothingChanged(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			w.sources["app"] = map[string]string{"main.c": "int main"}
			w.events.off = true
			s := w.target("big", returns(lattice(n, engine.Source("app"))))
			w.build(s)
			w.executor.ran.take()
			defer cpu(b)()
			for b.Loop() {
				w.benchBuild(b, s)
			}
			if ran := w.executor.ran.take() + w.planned.take(); ran != "big" {
				b.Errorf("ran %s", ran)
			}
		})
	}
}

// BenchmarkCold is the engine's and the store's part of a build in which nothing is in the cache.
func BenchmarkCold(b *testing.B) {
	s := lattice(1000, engine.Source("app"))
	defer cpu(b)()
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b)
		w.sources["app"] = map[string]string{"main.c": "int main"}
		w.events.off = true
		dir := b.TempDir()
		w.useDisk(b, dir)
		b.StartTimer()
		w.benchBuild(b, s)
		b.StopTimer()
		_ = w.store.(*disk.Store).Close()
		b.StartTimer()
	}
}

// cpu reports the processor time of the process for each operation, which says more than the time on a busy machine.
func cpu(b *testing.B) func() {
	now := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := now()
	return func() { b.ReportMetric(float64((now()-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}

func (w *world) benchBuild(b *testing.B, s engine.Step) {
	if _, err := w.engine().Build(context.Background(), s); err != nil {
		b.Fatal(err)
	}
}

// useDisk puts a store on disk in the place of what was there; locks and traces are the store's as well.
func (w *world) useDisk(t testing.TB, dir string) {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.setStore(s)
	w.locks = s
}

func (w *world) setStore(s store.Store) {
	w.store, w.executor.store, w.fetcher.store = s, s, s
}

var _ executor.Executor = (*fakeExecutor)(nil)
