package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// curious is a plan that asks one question of each kind and makes a step of the answers.
func curious(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
	app := engine.Source("app")
	text := ask.Platform().String()
	read, err := ask.Read(ctx, app, "lock")
	if errors.Is(err, tree.ErrNotExist) {
		read, err = []byte("none"), nil
	}
	if err != nil {
		return engine.Step{}, err
	}
	exists, err := ask.Exists(ctx, app, "web/package.json")
	if err != nil {
		return engine.Step{}, err
	}
	entries, err := ask.List(ctx, app, "conf")
	if err != nil {
		return engine.Step{}, err
	}
	paths, err := ask.Glob(ctx, app, "src/**/*.c")
	if err != nil {
		return engine.Step{}, err
	}
	artifacts, err := ask.Artifacts(ctx, pins.Question{Ecosystem: source.PyPI, Set: "build"})
	if err != nil {
		return engine.Step{}, err
	}
	text += fmt.Sprintf(" %s %v %v %v", read, exists, entries, paths)
	in := []engine.Layer{}
	for _, a := range artifacts {
		in = append(in, at(engine.Fetch(a).Step, "/a/"+a.Name))
	}
	return command("c", []string{"write", text}, in...), nil
}

func curiousWorld(t *testing.T) *world {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"lock": "L", "web/package.json": "{}", "conf/a": "1", "conf/l": "->a", "conf/d/x": "1", "src/a.c": "", "src/b/c.c": "", "src/h.h": "", "other": "1"}
	w.pins["build"] = []source.Artifact{w.artifact("flit", "f")}
	w.target("app", curious)
	return w
}

func TestPlanAsks(t *testing.T) {
	w := curiousWorld(t)
	check(t, "result", w.build(engine.Target("app")),
		"out=linux/amd64 L true [{a file false } {d dir false } {l link false a}] [src/a.c src/b/c.c]")
}

// A plan is run again when, and only when, something has changed that it asked about.
func TestTraces(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world)
		planed string
	}{
		{"nothing", func(w *world) {}, ""},
		{"a file that was read", func(w *world) { w.sources["app"]["lock"] = "M" }, "app"},
		{"a file that was read is gone", func(w *world) { delete(w.sources["app"], "lock") }, "app"},
		{"a file that nobody asked about", func(w *world) { w.sources["app"]["other"] = "2" }, ""},
		{"content of a file that exists", func(w *world) { w.sources["app"]["web/package.json"] = "{1}" }, ""},
		{"a file exists no more", func(w *world) { delete(w.sources["app"], "web/package.json") }, "app"},
		{"content of a listed file", func(w *world) { w.sources["app"]["conf/a"] = "2" }, ""},
		{"target of a listed link", func(w *world) { w.sources["app"]["conf/l"] = "->d" }, "app"},
		{"a new file in a listed directory", func(w *world) { w.sources["app"]["conf/b"] = "2" }, "app"},
		{"a new file below a listed directory", func(w *world) { w.sources["app"]["conf/d/y"] = "2" }, ""},
		{"a file that the pattern matches", func(w *world) { w.sources["app"]["src/x/y/z.c"] = "" }, "app"},
		{"a file that the pattern does not match", func(w *world) { w.sources["app"]["src/x.h"] = "" }, ""},
		{"pins", func(w *world) { w.pins["build"] = append(w.pins["build"], w.artifact("wheel", "w")) }, "app"},
		{"the plan's code", func(w *world) { w.identity = "2" }, "app"},
		{"a damaged trace", func(w *world) {
			for k, b := range w.traces.m {
				b[len(b)/2] ^= 1
				w.traces.m[k] = b
			}
		}, "app"},
		{"a trace of another version", func(w *world) {
			for k := range w.traces.m {
				w.traces.m[k] = []byte("hewn trace 0\nand so on")
			}
		}, "app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := curiousWorld(t)
			w.build(engine.Target("app"))
			check(t, "first", w.planned.take(), "app")
			c.change(w)
			w.build(engine.Target("app"))
			check(t, "planned", w.planned.take(), c.planed)
			w.build(engine.Target("app"))
			check(t, "planned once more", w.planned.take(), "")
		})
	}
}

// What a plan notes is told when it runs, and again when its trace stands for it.
func TestNotes(t *testing.T) {
	w := curiousWorld(t)
	w.target("app", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := curious(ctx, ask)
		ask.Note("the script of `%s` is skipped", "a")
		return s, err
	})
	for _, run := range []string{"first", "from the trace"} {
		w.events.take()
		w.build(engine.Target("app"))
		var told []string
		for _, e := range w.events.take() {
			if n, ok := e.(event.Note); ok {
				told = append(told, n.Level+": "+n.Text)
			}
		}
		check(t, run, strings.Join(told, "; "), "info: the script of `a` is skipped")
	}
	check(t, "planned", w.planned.take(), "app")
}

// What is asked about a source's origin is answered without its content, and traced by each of its fields.
func TestSourceInfo(t *testing.T) {
	w := newWorld(t)
	first := engine.SourceInfo{Rev: "v1", Revision: strings.Repeat("c", 40), Time: 1700000000, URL: "https://forge.example/a/b"}
	w.infos["app"] = first
	w.target("app", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		info, err := ask.SourceInfo(ctx, "app")
		return command("c", []string{"write", fmt.Sprint(info)}), err
	})
	check(t, "result", w.build(engine.Target("app")), "out="+fmt.Sprint(first))
	check(t, "planned", w.planned.take(), "app")
	for _, change := range []func(*engine.SourceInfo){
		func(*engine.SourceInfo) {},
		func(i *engine.SourceInfo) { i.Rev = "v2" }, func(i *engine.SourceInfo) { i.Revision = strings.Repeat("d", 40) },
		func(i *engine.SourceInfo) { i.Time++ }, func(i *engine.SourceInfo) { i.URL = "" }, func(i *engine.SourceInfo) { *i = engine.SourceInfo{} },
	} {
		old, now := w.infos["app"], w.infos["app"]
		change(&now)
		w.infos["app"] = now
		check(t, "result", w.build(engine.Target("app")), "out="+fmt.Sprint(now))
		want := "app"
		if now == old {
			want = ""
		}
		check(t, "planned", w.planned.take(), want)
	}
	w.target("lost", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		_, err := ask.SourceInfo(ctx, "nothing")
		return engine.Tree(emptyTree).Step, err
	})
	if err := w.fail(engine.Target("lost")); !strings.Contains(err.Error(), "source nothing") {
		t.Error(err)
	}
}

// That there is no such file is an answer like any other.
func TestNotExistIsAnAnswer(t *testing.T) {
	w := curiousWorld(t)
	delete(w.sources["app"], "lock")
	w.build(engine.Target("app"))
	w.build(engine.Target("app"))
	check(t, "planned", w.planned.take(), "app")
	w.sources["app"]["lock"] = "now"
	w.build(engine.Target("app"))
	check(t, "planned", w.planned.take(), "app")
}

func TestOddAnswers(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"dir/file": "x", "link": "->dir/file", "loop": "->loop", "dangling": "->nowhere", "abs": "->/dir"}
	for _, c := range []struct {
		name string
		ask  func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error)
		want string
	}{
		{"through a link", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			b, err := a.Read(ctx, s, "link")
			return string(b), err
		}, "x"},
		{"through a link to a directory", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			b, err := a.Read(ctx, s, "/abs/file")
			return string(b), err
		}, "x"},
		{"a directory", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			return a.Read(ctx, s, "dir")
		}, "source app: dir: is a directory, not a file"},
		{"a file is no directory", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			return a.List(ctx, s, "link")
		}, "source app: link: is a file, not a directory"},
		{"a loop", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			return a.Exists(ctx, s, "loop")
		}, "false"},
		{"dangling", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			return a.Read(ctx, s, "dangling")
		}, "source app: dangling: no such file or directory in the tree"},
		{"the root", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			e, err := a.List(ctx, s, "")
			return len(e), err
		}, "5"},
		{"no match", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			p, err := a.Glob(ctx, s, "*.c")
			return len(p), err
		}, "0"},
		{"a bad pattern", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			return a.Glob(ctx, s, "[")
		}, "source app: pattern \"[\": \"[\": syntax error in pattern"},
		{"an algebra step", func(ctx context.Context, a *engine.Ask, s engine.Static) (any, error) {
			st, _ := engine.Sub(s.Step, "dir").Static()
			t, err := a.Tree(ctx, st)
			return w.text(t), err
		}, "file=x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			s := w.target("t"+strings.ReplaceAll(c.name, " ", "-"), func(ctx context.Context, a *engine.Ask) (engine.Step, error) {
				v, err := c.ask(ctx, a, engine.Source("app"))
				got = fmt.Sprint(v)
				if err != nil {
					got = err.Error()
				}
				return engine.Tree(tree.Empty).Step, nil
			})
			w.build(s)
			check(t, "answer", got, c.want)
		})
	}
}

// A trace is kept only if everything that the plan saw can be asked again.
func TestNoTraceOfAFailure(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{}
	s := w.target("app", func(ctx context.Context, a *engine.Ask) (engine.Step, error) {
		if _, err := a.Read(ctx, engine.Fetch(w.artifact("a", "x")), "a-1.0.whl"); err != nil {
			return engine.Tree(tree.Empty).Step, nil // a plan should not, but may
		}
		return engine.Source("app").Step, nil
	})
	w.fetcher.offline = true
	w.keepGoing = true
	_, _ = w.engine().Build(t.Context(), s)
	w.planned.take()
	w.fetcher.offline = false
	w.build(s)
	check(t, "planned", w.planned.take(), "app")
	w.build(s)
	check(t, "planned", w.planned.take(), "")
}

// A plan may look into what it downloads or unpacks; the engine evaluates that on the way.
func TestPlanReadsStaticSteps(t *testing.T) {
	w := newWorld(t)
	a := w.artifact("pkg", "metadata")
	s := w.target("app", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		st := engine.NativeStatic("unpack", w.natives[0], "meta", engine.Fetch(a))
		b, err := ask.Read(ctx, st, "meta")
		return command("c", []string{"write", string(b)}), err
	})
	check(t, "result", w.build(s), "out=PKG-1.0.WHL=METADATA")
	w.fetcher.offline = true
	check(t, "again", w.build(s), "out=PKG-1.0.WHL=METADATA")
	check(t, "planned", w.planned.take()+" "+w.fetcher.fetched.take(), "app pkg")
}

func TestPrefetch(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"lock": "L"}
	tool := w.artifact("tool", "t")
	lib := w.artifact("lib", "l")
	w.target("lib", func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		_, err := ask.Read(ctx, engine.Source("app"), "lock")
		built := command("compile", []string{"copy"}, at(w.upperStep("unpack", engine.Fetch(lib).Step), "/lib"))
		// Hangs on an action, and yet needs an artifact: that must be there before the build.
		return engine.Native("strip", w.natives[0], "stripped", built, engine.Fetch(w.artifact("data", "d")).Step), err
	})
	app := w.target("app", returns(command("link", []string{"copy"}, at(engine.Target("lib"), "/l"), at(engine.Fetch(tool).Step, "/tool"))))

	if err := w.engine().Prefetch(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	check(t, "fetched", w.fetcher.fetched.take(), "data lib tool")
	check(t, "ran", w.executor.ran.take(), "")
	w.fetcher.offline = true
	const want = "out=l/stripped=OUT=LIB/UNPACK=LIB-1.0.WHL=L;DATA-1.0.WHL=D tool/tool-1.0.whl=t"
	check(t, "offline build", w.build(app), want)
	check(t, "planned", w.planned.take(), "app lib")

	check(t, "ran", w.executor.ran.take(), "app: link lib: compile")

	// Once built, nothing is fetched: the results make it unnecessary.
	if err := w.engine().Prefetch(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	check(t, "fetched", w.fetcher.fetched.take()+w.executor.ran.take(), "")
}

// What results make unnecessary is not fetched, also where only some of the actions are in the cache.
func TestPrefetchAfterPartOfABuild(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "1"}
	in := at(engine.Source("app").Step, "/src")
	first := command("first", []string{"copy"}, in)
	second := engine.Native("second", w.natives[0], "n", first, engine.Fetch(w.artifact("x", "x")).Step)
	third := command("third", []string{"copy"}, at(second, "/s"), in, at(engine.Fetch(w.artifact("y", "y")).Step, "/y"))
	w.build(second)
	w.fetcher.fetched.take()
	w.executor.ran.take()
	if err := w.engine().Prefetch(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	check(t, "fetched", w.fetcher.fetched.take(), "y")
	check(t, "ran", w.executor.ran.take(), "")
}

// Steps that depend on no source, and targets whose sources have not changed, are found by one look-up.
func TestMemo(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"a": "1"}
	tools := command("tools", []string{"copy"}, at(w.upperStep("u", engine.Fetch(w.artifact("x", "x")).Step), "/u"))
	app := w.target("app", returns(command("app", []string{"copy"}, at(tools, "/t"), at(engine.Source("app").Step, "/src"))))
	w.build(app)
	e := w.engine()
	if _, err := e.Build(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	states := func(e *engine.Engine) string {
		var out []string
		for _, s := range e.Graph(app) {
			out = append(out, s.Label+" "+s.State.String())
		}
		return strings.Join(out, ", ")
	}
	check(t, "unchanged", states(e), "fetch x 1.0 unneeded, u unneeded, tools unneeded, source app known, app cached, target app known")
	w.sources["app"]["a"] = "2"
	e = w.engine()
	if _, err := e.Build(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	check(t, "changed", states(e), "fetch x 1.0 unneeded, u unneeded, tools cached, source app known, app ran, target app known")
	if got, want := e.Stats(app), (engine.Stats{Total: 4, Run: 1, Cached: 3}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}
