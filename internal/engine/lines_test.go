package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

var hookQuestion = pins.Question{Ecosystem: source.PyPI, Set: "build/x/hook", Request: []string{"python 3.14"}}

// observing is a plan whose step says what an action left behind.
func observing(s engine.Step, file string) engine.Plan {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		lines, err := ask.Observe(ctx, hookQuestion, s, file)
		return command("c", []string{"write", fmt.Sprintf("%q", lines)}), err
	}
}

// What only an action can tell is run for in an update, which pins it; a build takes the pin and runs nothing.
func TestObserve(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "[]"},
		{"lines", "cffi>=1\nwheel\n", `["cffi>=1" "wheel"]`},
		{"without an end", "cffi>=1", `["cffi>=1"]`},
		{"empty lines", "a\n\nb\n\n", `["a" "" "b" ""]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.sources["app"] = map[string]string{"setup.py": "1"}
			tell := command("tell", []string{"write", c.text}, at(engine.Source("app").Step, "/src"))
			w.target("app", observing(tell, "out"))

			if err := w.fail(engine.Target("app")); !strings.Contains(err.Error(), "build/x/hook is not pinned") {
				t.Errorf("a build without the pin: %v", err)
			}
			check(t, "ran without a pin", w.executor.ran.take(), "")
			w.updating = true
			check(t, "update", w.build(engine.Target("app")), "out="+c.want)
			check(t, "ran in the update", w.executor.ran.take(), "app: c app: tell")

			w.updating, w.planned.m = false, nil
			w.sources["app"]["setup.py"] = "2"
			check(t, "build", w.build(engine.Target("app")), "out="+c.want)
			check(t, "ran in a build after an edit", w.executor.ran.take(), "")
			check(t, "planned again", w.planned.take(), "")

			w.lines["build/x/hook"] = []string{"moved"}
			check(t, "build with a pin that moved", w.build(engine.Target("app")), `out=["moved"]`)
			check(t, "planned for it", w.planned.take(), "app")
		})
	}
}

// The trace of an earlier run is enough to know what has to be run for an answer.
func TestObserveFromTrace(t *testing.T) {
	w := newWorld(t)
	w.updating = true
	w.target("app", observing(command("tell", []string{"write", "a"}), "out"))
	w.build(engine.Target("app"))
	w.planned.take()
	delete(w.lines, "build/x/hook")
	check(t, "update", w.build(engine.Target("app")), `out=["a"]`)
	check(t, "planned", w.planned.take(), "")
	check(t, "pinned", fmt.Sprint(w.lines), "map[build/x/hook:[a]]")
}

// What fails for the first time while a trace is looked at is told as if the plan had met it.
func TestObserveFailsFromTrace(t *testing.T) {
	w := newWorld(t)
	w.updating = true
	w.sources["app"] = map[string]string{"lock": "1"}
	tell := command("tell", []string{"write", "a"}, at(engine.Source("app").Step, "/src"))
	w.target("app", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		if err := ctx.Err(); err != nil {
			return engine.Step{}, err
		}
		return observing(tell, "out")(ctx, ask)
	})
	w.build(engine.Target("app"))
	w.sources["app"]["lock"] = "2"
	delete(w.lines, "build/x/hook")
	w.executor.outcome = func(executor.Request) *executor.Outcome { return &executor.Outcome{ExitCode: 3} }
	if err := w.fail(engine.Target("app")); !strings.Contains(err.Error(), "step `tell`: the command ended with exit code 3") {
		t.Errorf("got %v", err)
	}
}

func TestObserveFails(t *testing.T) {
	for _, c := range []struct {
		name string
		step engine.Step
		file string
		says string
	}{
		{"the step", command("tell", []string{"fail", "3", "no such header"}), "out", "tell"},
		{"no such file", command("tell", []string{"write", "a"}), "elsewhere", "`elsewhere`"},
		{"a directory", engine.Place(command("tell", []string{"write", "a"}), "/d"), "d", "it is a directory"},
		{"too much", command("tell", []string{"write", strings.Repeat("a", 5<<20)}), "out", "over the limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.updating = true
			w.target("app", observing(c.step, c.file))
			err := w.fail(engine.Target("app"))
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want something with %q", err, c.says)
			}
			if len(w.lines) > 0 {
				t.Errorf("pinned all the same: %v", w.lines)
			}
		})
	}
}

// A fetch must never come to run an action.
func TestObserveNotWhileFetching(t *testing.T) {
	w := newWorld(t)
	w.updating = true
	w.target("app", observing(command("tell", []string{"write", "a"}), "out"))
	if err := w.engine().Prefetch(t.Context(), engine.Target("app")); err == nil || !strings.Contains(err.Error(), "only fetches") {
		t.Errorf("got %v", err)
	}
	check(t, "ran", w.executor.ran.take(), "")
}

// A plan may observe what another target gives. Two that wait for each other are an error, not a wait without end.
func TestObserveTargets(t *testing.T) {
	w := newWorld(t)
	w.updating = true
	w.target("root", returns(engine.Tree(w.tree(map[string]string{"sh": "1"})).Step))
	w.target("app", observing(command("tell", []string{"copy"}, at(engine.Target("root"), "/")), "out"))
	check(t, "result", w.build(engine.Target("app")), `out=["sh=1"]`)

	w = newWorld(t)
	w.updating = true
	w.target("a", observing(command("tell a", []string{"copy"}, at(engine.Target("b"), "/")), "out"))
	w.target("b", observing(command("tell b", []string{"copy"}, at(engine.Target("a"), "/")), "out"))
	if err := w.fail(engine.Target("a")); !strings.Contains(err.Error(), "targets need each other: a -> b -> a") {
		t.Errorf("got %v", err)
	}
}
