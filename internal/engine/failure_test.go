package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "write the goldens anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s (run with -update to write it anew):\n%s\nwant\n%s", name, got, want)
	}
}

// tell is all that a person is told of err.
func tell(err error) string {
	var b strings.Builder
	var several *engine.Failures
	var p *diag.Problem
	switch {
	case errors.As(err, &several):
		for _, p := range several.Problems {
			b.WriteString(tell(p))
		}
	case errors.As(err, &p):
		fmt.Fprintf(&b, "%v [%s, exit code %d]\n", err, p.Code, diag.ExitCode(err))
		for _, d := range p.Detail {
			fmt.Fprintf(&b, "    %s\n", d)
		}
		for _, h := range p.Hints {
			fmt.Fprintf(&b, "hint: %s\n", h)
		}
	default:
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String()
}

func longLog() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "line %d\r\n", i)
	}
	return b.String() + "10%\r50%\r100%\n" + strings.Repeat("x", 3000) + "\nnot UTF-8: \xff\nno end of line"
}

// Every text that a failure of the engine makes.
func TestFailureTexts(t *testing.T) {
	src := engine.Source("app").Step
	for _, c := range []struct {
		name string
		make func(w *world) engine.Step
	}{
		{"exit-code", func(w *world) engine.Step {
			s := engine.Run("npm run build", engine.Command{Args: []string{"fail", "2", longLog()}, Dir: "/web", Layers: []engine.Layer{at(src, "/src")}, Outputs: []string{"/out"}})
			w.target("webui", returns(engine.Sub(s, "out")))
			return w.target("assembled", returns(engine.Merge("m", engine.Part{Step: engine.Target("webui"), At: "/web"})))
		}},
		{"same-label-as-target", func(w *world) engine.Step {
			return w.target("webui", returns(command("webui", []string{"fail", "1", "no\n"})))
		}},
		{"no-target", func(w *world) engine.Step { return command("a step", []string{"fail", "1", ""}) }},
		{"signal", func(w *world) engine.Step { return command("s", []string{"fail", "139", "core dumped\n"}) }},
		{"time", func(w *world) engine.Step {
			w.executor.outcome = func(executor.Request) *executor.Outcome {
				return &executor.Outcome{ExitCode: 137, Killed: "time", Kept: "/store/kept/1", Hints: []string{"the sandbox has no network"}}
			}
			return engine.Run("slow", engine.Command{Args: []string{"sleep", "it's long"}, Limits: executor.Limits{Time: 10 * time.Minute}})
		}},
		{"memory", func(w *world) engine.Step {
			w.executor.outcome = func(executor.Request) *executor.Outcome { return &executor.Outcome{ExitCode: 137, Killed: "memory"} }
			return engine.Run("big", engine.Command{Args: []string{"node"}, Limits: executor.Limits{Memory: 512 << 20}})
		}},
		{"advice", func(w *world) engine.Step {
			w.advise = func(ctx context.Context, root tree.Tree, log io.Reader) []string {
				b, _ := io.ReadAll(log)
				_, err := tree.Lookup(ctx, w.store, root, "src/a")
				return []string{fmt.Sprintf("the log has %d bytes, the root has /src/a: %t", len(b), err == nil)}
			}
			return command("s", []string{"fail", "1", "x.h is missing\n"}, at(src, "/src"))
		}},
		{"missing-output", func(w *world) engine.Step {
			return engine.Run("forgetful", engine.Command{Args: []string{"forget"}, Outputs: []string{"/b", "/a"}})
		}},
		{"executor", func(w *world) engine.Step { return command("odd", []string{"unknown"}) }},
		{"executor-panic", func(w *world) engine.Step { return command("odd", []string{"panic"}) }},
		{"integrity", func(w *world) engine.Step {
			return engine.Fetch(source.Artifact{Ecosystem: source.NPM, Name: "@lit/task", Version: "1.0.3", File: "task-1.0.3.tgz"}).Step
		}},
		{"integrity-of-input", func(w *world) engine.Step {
			return w.target("deps", returns(w.upperStep("install", engine.Fetch(source.Artifact{Ecosystem: source.NPM, Name: "x", File: "x.tgz"}).Step)))
		}},
		{"bad-file-name", func(w *world) engine.Step {
			a := w.artifact("x", "x")
			a.File = "../x"
			return engine.Fetch(a).Step
		}},
		{"git-without-commit", func(w *world) engine.Step {
			return engine.Git(source.GitRef{Repo: "upstream:a/b", Rev: "main"}).Step
		}},
		{"fetch", func(w *world) engine.Step {
			s := engine.Fetch(w.artifact("gone", "x")).Step
			w.fetcher.content = map[string]string{}
			return w.target("deps", returns(w.upperStep("install", s)))
		}},
		{"locked", func(w *world) engine.Step {
			s := engine.FetchLocked(w.artifact("gone", "x"), diag.Position{File: "app/go.sum", Line: 7, Key: "gone"}).Step
			w.fetcher.content = map[string]string{}
			return w.target("deps", returns(w.upperStep("install", s)))
		}},
		{"source", func(w *world) engine.Step { return w.target("t", returns(engine.Sub(engine.Source("none").Step, "x"))) }},
		{"target", func(w *world) engine.Step { return w.target("t", returns(engine.Sub(engine.Target("none"), "x"))) }},
		{"sub", func(w *world) engine.Step { return w.target("t", returns(engine.Sub(src, "web/dist"))) }},
		{"merge-conflict", func(w *world) engine.Step {
			a, b := engine.Tree(w.tree(map[string]string{"bin/x": "1"})), engine.Tree(w.tree(map[string]string{"bin/x": "22"}))
			return engine.Merge("venv", engine.Part{Step: engine.Place(a.Step, "/"), At: "/"}, engine.Part{Step: b.Step, At: "/"})
		}},
		{"layers-conflict", func(w *world) engine.Step {
			a, b := engine.Tree(w.tree(map[string]string{"bin/x": "1"})), engine.Tree(w.tree(map[string]string{"x": "22"}))
			return command("link", []string{"copy"}, at(w.upperStep("n"), "/n"), at(a.Step, "/"), at(b.Step, "/bin"))
		}},
		{"native-panic", func(w *world) engine.Step {
			w.natives = append(w.natives, engine.NativeDef{Name: "wheel-install", Version: 2, Run: func(context.Context, engine.NativeCall) (tree.Tree, error) {
				var m map[string]int
				//lint:ignore SA5000 the step has to panic
				m["x"]++
				return tree.Tree{}, nil
			}})
			return w.target("deps", returns(engine.Native("lxml 6.0.2", w.natives[1], nil)))
		}},
		{"native-nothing", func(w *world) engine.Step {
			w.natives = append(w.natives, engine.NativeDef{Name: "empty", Version: 1, Run: func(context.Context, engine.NativeCall) (tree.Tree, error) { return tree.Tree{}, nil }})
			return engine.Native("n", w.natives[1], nil)
		}},
		{"native-unknown", func(w *world) engine.Step {
			return engine.Native("n", engine.NativeDef{Name: "later", Version: 3}, nil)
		}},
		{"native-problem", func(w *world) engine.Step {
			w.natives = append(w.natives, engine.NativeDef{Name: "unpack", Version: 1, Run: func(context.Context, engine.NativeCall) (tree.Tree, error) {
				return tree.Tree{}, diag.Inputf("unsafe-archive", "entry `../x` leaves the archive").At(diag.Position{File: "a.tar"}).Hint("do not use it")
			}})
			return w.target("deps", returns(engine.Native("a", w.natives[1], nil)))
		}},
		{"native-advice", func(w *world) engine.Step {
			w.advise = func(ctx context.Context, root tree.Tree, log io.Reader) []string {
				b, _ := io.ReadAll(log)
				_, err := tree.Lookup(ctx, w.store, root, "a")
				return []string{fmt.Sprintf("the details are %q, the root has /a: %t", b, err == nil)}
			}
			w.natives = append(w.natives, engine.NativeDef{Name: "check", Version: 1, Run: func(context.Context, engine.NativeCall) (tree.Tree, error) {
				return tree.Tree{}, diag.Failf("elf-missing", "it does not run").With("/a needs x.so", "/b needs y.so")
			}})
			return engine.Native("c", w.natives[1], nil, src)
		}},
		{"plan-error", func(w *world) engine.Step {
			return w.target("webui", func(context.Context, *engine.Ask) (engine.Step, error) {
				return engine.Step{}, diag.Inputf("starlark", "`nod` is not defined").At(diag.Position{File: "webui.star", Line: 3, Col: 7})
			})
		}},
		{"plan-wraps-step", func(w *world) engine.Step {
			return w.target("webui", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				_, err := ask.Read(ctx, engine.NativeStatic("unpack", w.natives[0], "x", engine.Fetch(source.Artifact{Name: "x", File: "x"})), "x")
				return engine.Step{}, fmt.Errorf("cannot read the metadata: %w", err)
			})
		}},
		{"plan-panic", func(w *world) engine.Step {
			return w.target("webui", func(context.Context, *engine.Ask) (engine.Step, error) { panic("odd") })
		}},
		{"plan-nothing", func(w *world) engine.Step {
			return w.target("webui", func(context.Context, *engine.Ask) (engine.Step, error) { return engine.Step{}, nil })
		}},
		{"pins", func(w *world) engine.Step {
			w.sources["app"] = map[string]string{"conf/a": "1"}
			return w.target("app", curious)
		}},
		{"bad-action", func(w *world) engine.Step {
			return engine.Run("r", engine.Command{Args: []string{"x"}, Outputs: []string{"out"}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.sources["app"] = map[string]string{"a": "1"}
			golden(t, filepath.Join("failures", c.name), tell(w.fail(c.make(w))))
		})
	}
}

func TestFailuresAreNotCached(t *testing.T) {
	w := newWorld(t)
	s := command("flaky", []string{"fail", "1", "log"})
	w.fail(s)
	w.fail(s)
	check(t, "ran", w.executor.ran.take(), "flaky*2")
	// In one process it is: the step is pure.
	e := w.engine()
	for range 3 {
		if _, err := e.Build(t.Context(), s); err == nil {
			t.Error("no error")
		}
	}
	check(t, "ran", w.executor.ran.take(), "flaky")
}

// With KeepGoing everything that does not depend on a failure is done, and each failure is told once.
func TestKeepGoing(t *testing.T) {
	w := newWorld(t)
	w.keepGoing = true
	shared := w.target("lib", returns(command("compile", []string{"fail", "1", "no\n"})))
	w.target("a", returns(command("link a", []string{"copy"}, at(shared, "/l"), at(command("good a", []string{"write", "1"}), "/g"))))
	w.target("b", returns(command("link b", []string{"copy"}, at(shared, "/l"), at(command("bad b", []string{"fail", "3", "b\n"}), "/g"))))
	w.target("c", returns(command("link c", []string{"write", "c"})))
	trees, err := w.engine().BuildAll(t.Context(), engine.Target("a"), engine.Target("b"), engine.Target("c"))
	golden(t, filepath.Join("failures", "keep-going"), tell(err))
	if trees[0] != (tree.Tree{}) || trees[1] != (tree.Tree{}) {
		t.Error("failed targets have trees")
	}
	check(t, "c", w.text(trees[2]), "out=c")
	check(t, "ran", w.executor.ran.take(), "a: good a b: bad b c: link c lib: compile")
}

func TestFirstFailureStops(t *testing.T) {
	w := newWorld(t)
	w.limits.Actions = 1
	var parts []engine.Part
	for i := range 20 {
		parts = append(parts, engine.Part{Step: command(fmt.Sprint("s", i), []string{"fail", "1", fmt.Sprint(i)}), At: fmt.Sprint("/", i)})
	}
	err := w.fail(engine.Merge("all", parts...))
	var several *engine.Failures
	if errors.As(err, &several) {
		t.Errorf("several failures: %v", err)
	}
	if ran := w.executor.ran.take(); strings.Contains(ran, " ") {
		t.Errorf("ran %s", ran)
	}
}

func TestLast(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "1"}
	good := command("compile", []string{"copy"}, at(engine.Source("app").Step, "/src"))
	s := w.target("app", returns(command("link", []string{"write", "x"}, at(good, "/c"), at(w.upperStep("tools"), "/t"))))
	read := func(d digest.Digest) string {
		t.Helper()
		var b strings.Builder
		in, err := w.store.Open(t.Context(), d)
		if err != nil {
			return err.Error()
		}
		defer in.Close()
		_, _ = io.Copy(&b, in)
		return b.String()
	}
	labels := func(steps []engine.LastStep) string {
		var out []string
		for _, s := range steps {
			out = append(out, fmt.Sprintf("%s failed=%v log=%v", s.Label, s.Failed, !s.Log.IsZero()))
		}
		return strings.Join(out, ", ")
	}
	w.build(s)
	first := engine.LoadLast(w.traces, "/w", "app")
	check(t, "first", labels(first), "compile failed=false log=true, tools failed=false log=false, link failed=false log=true")
	check(t, "log", read(first[0].Log), "log of app: compile\n")
	if !strings.Contains(read(first[0].Dump), "arg \"copy\"") || !first[0].Was.IsZero() {
		t.Errorf("dump %q, was %v", read(first[0].Dump), first[0].Was)
	}
	saved := w.traces.saved
	w.build(s)
	if w.traces.saved != saved {
		t.Error("something was written although nothing has changed")
	}

	w.sources["app"]["a"] = "2"
	w.plans["app"] = returns(command("link", []string{"fail", "9", "bad log"}, at(good, "/c"), at(w.upperStep("tools"), "/t")))
	w.identity = "2"
	w.fail(s)
	second := engine.LoadLast(w.traces, "/w", "app")
	check(t, "second", labels(second), "compile failed=false log=true, tools failed=false log=false, link failed=true log=true")
	if second[0].Was != first[0].Dump || second[0].Key == first[0].Key || second[2].ExitCode != 9 {
		t.Errorf("%+v", second)
	}
	check(t, "log", read(second[2].Log), "bad log")
	if got := engine.LoadLast(w.traces, "/other", "app"); got != nil {
		t.Errorf("another workspace: %v", got)
	}
}

func TestGraph(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "1"}
	w.target("lib", returns(command("compile", []string{"copy"}, at(engine.Source("app").Step, "/src"))))
	s := w.target("app", returns(command("link", []string{"fail", "1", "no"}, at(engine.Target("lib"), "/l"), at(w.upperStep("tools", engine.Fetch(w.artifact("x", "x")).Step), "/t"))))
	e := w.engine()
	_, err := e.Build(t.Context(), s)
	if err == nil {
		t.Fatal("no error")
	}
	var b strings.Builder
	for i, n := range e.Graph(s) {
		fmt.Fprintf(&b, "%d %s (%s) %s %s inputs %v\n", i, n.Label, n.Target, n.Kind, n.State, n.Inputs)
		if d := n.Dump(); d != "" {
			b.WriteString("    " + strings.ReplaceAll(strings.TrimSpace(d), "\n", "\n    ") + "\n    key " + n.Key.String() + "\n")
		}
	}
	golden(t, "graph", b.String())
	if got, want := e.Stats(s), (engine.Stats{Total: 4, Run: 4}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// Every action gives the same when it is run from its merged root alone.
func TestAllActions(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "1"}
	w.target("lib", returns(command("compile", []string{"copy"}, at(engine.Source("app").Step, "/src"))))
	s := w.target("app", returns(command("link", []string{"copy"}, at(engine.Target("lib"), "/l"), at(command("other", []string{"write", "x"}), "/t"))))
	w.build(s) // so that a look-up by description would find all at once
	var labels []string
	for a, err := range w.engine().AllActions(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, a.Target+": "+a.Label)
		r := a.Request
		parts := make([]tree.Part, len(r.Layers))
		for i, l := range r.Layers {
			parts[i] = tree.Part{Tree: l.Tree, At: l.At}
		}
		if root, err := tree.Merge(t.Context(), w.store, parts...); err != nil || root != r.Action.Root {
			t.Errorf("%s: layers give %v (%v), root is %v", a.Label, root, err, r.Action.Root)
		}
		r.Layers = nil
		out, err := w.executor.Execute(t.Context(), r)
		if err != nil || out.Output != a.Output || a.Key != r.Action.Key() {
			t.Errorf("%s: %v, %v; want %v", a.Label, out, err, a.Output)
		}
	}
	check(t, "actions", strings.Join(labels, ", "), "lib: compile, app: other, app: link")
	for _, err := range w.engine().AllActions(t.Context(), command("bad", []string{"fail", "1", ""})) {
		if err == nil {
			t.Error("no error")
		}
	}
}
