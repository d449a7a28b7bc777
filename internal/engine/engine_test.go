package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

func command(label string, args []string, layers ...engine.Layer) engine.Step {
	return engine.Run(label, engine.Command{Args: args, Layers: layers, Outputs: []string{"/out"}})
}

func at(s engine.Step, p string) engine.Layer { return engine.Layer{Step: s, At: p} }

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestRunsOnceThenTakesFromCache(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"main.c": "int main"}
	a := engine.Fetch(w.artifact("cc", "compiler"))
	tools := w.upperStep("tools", a.Step)
	s := command("compile", []string{"copy"}, at(tools, "/usr"), at(engine.Source("app").Step, "/src"))

	const want = "out=src/main.c=int main usr/tools=CC-1.0.WHL=COMPILER"
	check(t, "first", w.build(s), want)
	check(t, "ran", w.executor.ran.take(), "compile")
	check(t, "fetched", w.fetcher.fetched.take(), "cc")
	check(t, "native", w.natively.take(), `"tools"`)

	check(t, "second", w.build(s), want)
	check(t, "ran", w.executor.ran.take()+w.fetcher.fetched.take()+w.natively.take(), "")

	w.sources["app"]["main.c"] = "int main()"
	check(t, "third", w.build(s), "out=src/main.c=int main() usr/tools=CC-1.0.WHL=COMPILER")
	check(t, "ran", w.executor.ran.take(), "compile")
	check(t, "fetched", w.fetcher.fetched.take()+w.natively.take(), "")
}

// A native step over artifacts needs them only when it runs: here its result is in the cache and the artifact nowhere.
func TestCachedNativeStepNeedsNoDownload(t *testing.T) {
	w := newWorld(t)
	s := w.upperStep("n", engine.Fetch(w.artifact("a", "x")).Step)
	w.build(s)
	w.fetcher.fetched.take()
	w.fetcher.offline = true
	// Another URL or name of the same bytes under the same file name changes nothing.
	b := w.artifact("a", "x")
	b.URL, b.Version = "https://mirror.example/a", "1.0.0"
	check(t, "again", w.build(w.upperStep("n", engine.Fetch(b).Step)), "n=A-1.0.WHL=X")
	check(t, "fetched", w.fetcher.fetched.take(), "")
}

func TestEarlyCutoff(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "text"}
	compile := w.upperStep("compile", engine.Source("app").Step)
	link := command("link", []string{"copy"}, at(compile, "/in"))
	w.build(link)
	check(t, "ran", w.executor.ran.take(), "link")
	w.sources["app"]["a"] = "TEXT" // upper gives the same
	w.natively.take()
	w.build(link)
	check(t, "native", w.natively.take(), `"compile"`)
	check(t, "ran", w.executor.ran.take(), "")
}

func TestAlgebra(t *testing.T) {
	w := newWorld(t)
	a := engine.Tree(w.tree(map[string]string{"bin/a": "1", "lib/x": "2"})).Step
	b := engine.Tree(w.tree(map[string]string{"bin/a": "other", "share/doc/d": "3"})).Step
	for _, c := range []struct {
		name string
		step engine.Step
		want string
	}{
		{"merge", engine.Merge("m", engine.Part{Step: a, At: "/"}, engine.Part{Step: b, At: "/opt"}), "bin/a=1 lib/x=2 opt/bin/a=other opt/share/doc/d=3"},
		{"merge over", engine.MergeOver("m", []string{"bin/*"}, engine.Part{Step: a, At: "/"}, engine.Part{Step: b, At: "/"}), "bin/a=other lib/x=2 share/doc/d=3"},
		{"overlay", engine.Overlay("o", engine.Part{Step: a, At: "/"}, engine.Part{Step: b, At: "/"}), "bin/a=other lib/x=2 share/doc/d=3"},
		{"sub", engine.Sub(a, "lib"), "x=2"},
		{"select", engine.Select(a, "lib/x", "none?"), "lib/x=2"},
		{"remove", engine.Remove(b, "share/**", "nothing"), "bin/a=other"},
		{"place", engine.Place(a, "/opt/a"), "opt/a/bin/a=1 opt/a/lib/x=2"},
		{"nothing", engine.Merge("m"), ""},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c.name, w.build(c.step), c.want) })
	}
}

func TestTargets(t *testing.T) {
	w := newWorld(t)
	lib := w.target("lib", returns(command("build lib", []string{"write", "L"})))
	w.target("app", returns(command("link", []string{"copy"}, at(lib, "/lib"))))
	check(t, "app", w.build(engine.Target("app")), "out=lib/out=L")
	check(t, "planned", w.planned.take(), "app lib")
	check(t, "again", w.build(engine.Target("app")), "out=lib/out=L")
	check(t, "planned", w.planned.take(), "")
	check(t, "ran", w.executor.ran.take(), "app: link lib: build lib")

	e := w.engine()
	s, err := e.Plan(t.Context(), "app")
	if err != nil || s.Label() != "link" {
		t.Errorf("plan of app: %v, %v", s.Label(), err)
	}
	check(t, "planned", w.planned.take()+w.executor.ran.take(), "")
}

func TestTargetCycle(t *testing.T) {
	w := newWorld(t)
	w.target("a", returns(command("x", []string{"copy"}, at(engine.Target("b"), "/b"))))
	w.target("b", returns(engine.Sub(engine.Target("c"), "out")))
	w.target("c", returns(engine.Merge("m", engine.Part{Step: engine.Target("a"), At: "/"})))
	for _, name := range []string{"a", "b", "c"} {
		err := w.fail(engine.Target(name))
		if !strings.Contains(err.Error(), "targets need each other: a -> b -> c -> a") {
			t.Errorf("%s: %v", name, err)
		}
		if diag.ExitCode(err) != 2 {
			t.Errorf("exit code %d", diag.ExitCode(err))
		}
	}
	w.target("self", returns(engine.Sub(engine.Target("self"), "out")))
	check(t, "self", w.fail(engine.Target("self")).Error(), "target self: targets need each other: self -> self")
	check(t, "ran", w.executor.ran.take(), "")
}

// Steps of the same key run once although their descriptions differ.
func TestSameKeyRunsOnce(t *testing.T) {
	w := newWorld(t)
	w.executor.delay = 20 * time.Millisecond
	x := w.tree(map[string]string{"a": "1"})
	var parts []engine.Part
	for i := range 20 {
		in := engine.Tree(x).Step
		if i%2 == 1 { // the same tree, described in another way
			in = engine.Sub(engine.Tree(w.tree(map[string]string{fmt.Sprint(i, "/a"): "1"})).Step, fmt.Sprint(i))
		}
		parts = append(parts, engine.Part{Step: command(fmt.Sprint("c", i), []string{"copy"}, at(in, "/in")), At: fmt.Sprint("/", i)})
	}
	w.build(engine.Merge("all", parts...))
	n := 0
	for _, k := range strings.Fields(w.executor.ran.take()) {
		_ = k
		n++
	}
	if n != 1 {
		t.Errorf("ran %d times", n)
	}
}

func TestBudgets(t *testing.T) {
	w := newWorld(t)
	w.limits = engine.Limits{Actions: 3, Fetches: 5, Disk: 2}
	w.executor.delay, w.fetcher.delay = 2*time.Millisecond, 2*time.Millisecond
	var parts []engine.Part
	for i := range 60 {
		f := engine.Fetch(w.artifact(fmt.Sprint("a", i), fmt.Sprint(i)))
		parts = append(parts, engine.Part{Step: command(fmt.Sprint("c", i), []string{"copy"}, at(f.Step, "/in")), At: fmt.Sprint("/", i)})
	}
	w.build(engine.Merge("all", parts...))
	if w.executor.most > 3 || w.executor.most < 2 {
		t.Errorf("%d actions at once, limit 3", w.executor.most)
	}
	if w.fetcher.most > 5 || w.fetcher.most < 3 {
		t.Errorf("%d fetches at once, limit 5", w.fetcher.most)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the person pressed Ctrl-C")
	go func() {
		for w.executor.ran.take() == "" {
			time.Sleep(time.Millisecond)
		}
		cancel(stop)
	}()
	s := command("after", []string{"copy"}, at(command("long", []string{"wait"}), "/a"))
	_, err := w.engine().Build(ctx, s)
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause", err)
	}
	check(t, "ran", w.executor.ran.take(), "")
	// Nothing of it stays: the next run works.
	w.executor.outcome = nil
	_, err = w.engine().Build(t.Context(), command("other", []string{"write", "x"}))
	if err != nil {
		t.Error(err)
	}
}

func TestCancelledRunDoesNotHarmAnother(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	w.executor.delay = 30 * time.Millisecond
	s := command("shared", []string{"write", "x"})
	ctx, cancel := context.WithCancelCause(t.Context())
	first := make(chan error)
	go func() {
		_, err := e.Build(ctx, engine.Sub(s, "."))
		first <- err
	}()
	for w.executor.ran.take() == "" {
		time.Sleep(time.Millisecond)
	}
	cancel(errors.New("enough"))
	if _, err := e.Build(t.Context(), s); err != nil {
		t.Errorf("second build: %v", err)
	}
	<-first
}

func TestParanoid(t *testing.T) {
	w := newWorld(t)
	n := 0
	w.natives = append(w.natives, engine.NativeDef{Name: "clock", Version: 3, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
		n++
		return makeTree(ctx, c.Store, map[string]string{"time": fmt.Sprint(n), "same": "x"})
	}})
	good := w.upperStep("u", engine.Fetch(w.artifact("a", "x")).Step)
	bad := engine.Native("tick", w.natives[1], nil)
	w.build(good)
	w.build(bad)
	w.paranoid = true
	w.natively.take()
	w.build(good)
	check(t, "native", w.natively.take(), `"u"`)
	err := w.fail(bad)
	check(t, "error", err.Error(), "step `tick`: native step clock/v3 gave another result than the one in the cache")
	var p *diag.Problem
	if errors.As(err, &p); len(p.Detail) != 1 || !strings.HasPrefix(p.Detail[0], "time: was file of 1 bytes") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.target("app", returns(command("link", []string{"write", "x"}, at(w.upperStep("u"), "/u"))))
	w.paranoid = true // so that every step is looked at
	w.build(engine.Target("app"))
	show := func() string {
		var out []string
		for _, e := range w.events.take() {
			switch e := e.(type) {
			case event.StepStarted:
				out = append(out, fmt.Sprintf("start %s %s", e.Kind, e.Label))
			case event.StepDone:
				out = append(out, fmt.Sprintf("done %s %s cached=%v log=%v", e.Kind, e.Label, e.Cached, !e.Log.IsZero()))
			case event.StepLog:
				out = append(out, "log "+e.Label)
			}
		}
		return strings.Join(out, "\n")
	}
	check(t, "events", show(), strings.Join([]string{
		"start plan app", "done plan app cached=false log=false",
		"start native app: u", "done native app: u cached=false log=false",
		"start action app: link", "done action app: link cached=false log=true"}, "\n"))
	w.build(engine.Target("app"))
	check(t, "events", show(), strings.Join([]string{
		"done plan app cached=true log=false", "done native app: u cached=true log=false", "done action app: link cached=true log=true"}, "\n"))
}

func TestNewRefusesBadNatives(t *testing.T) {
	w := newWorld(t)
	for _, defs := range [][]engine.NativeDef{
		{w.upper(1), w.upper(1)}, {{Name: "x", Version: 1}}, {{Version: 1, Run: w.upper(1).Run}}, {{Name: "merge", Version: 1, Run: w.upper(1).Run}},
	} {
		if _, err := engine.New(engine.Config{Store: w.store, Natives: defs}); err == nil {
			t.Errorf("%v was accepted", defs)
		}
	}
}

func TestGitAndPlatform(t *testing.T) {
	w := newWorld(t)
	g := engine.Git(source.GitRef{Repo: "upstream:a/b", Rev: "v1", Commit: strings.Repeat("a", 40)})
	check(t, "git", w.build(g.Step), "commit="+strings.Repeat("a", 40))
	check(t, "native over git", w.build(w.upperStep("u", g.Step)), "u=COMMIT="+strings.Repeat("A", 40))
	w.fetcher.fetched.take()
	w.fetcher.offline = true
	w.build(g.Step)
	w.build(w.upperStep("u", g.Step))
	check(t, "fetched", w.fetcher.fetched.take(), "")
}
