package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// checkOf is an action that has an image and a database as further roots, each of two layers.
func checkOf(image engine.Step) engine.Step {
	file := func(text string) engine.Step { return command("db "+text, []string{"write", text}) }
	return engine.Run("boot", engine.Command{Args: []string{"roots"}, Layers: []engine.Layer{at(engine.Source("app").Step, "/check")}, Outputs: []string{"/out"}, Roots: []engine.Root{
		{Name: "image", Layers: []engine.Layer{at(image, "/"), at(file("I"), "/late")}, ReadOnly: true, Tmpfs: []string{"/data"}},
		{Name: "db", Layers: []engine.Layer{at(file("D"), "/")}},
	}})
}

// Further roots are inputs like the root: merged, waited for, in the key and in the trace.
func TestFurtherRoots(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"check.py": "1"}
	image := w.target("image", returns(command("assemble", []string{"write", "image 1"})))
	w.target("check", returns(checkOf(image)))
	s := engine.Target("check")
	want := "out=check/check.py=1 db:out=D image ro /data:late/out=I out=image 1"
	check(t, "result", w.build(s), want)
	check(t, "ran", w.executor.ran.take(), "check: boot check: db D check: db I image: assemble")
	check(t, "again", w.build(s), want)
	check(t, "planned", w.planned.take(), "check image")
	check(t, "ran again", w.executor.ran.take(), "")

	// An early cutoff works through a further root as well, and its change is seen.
	w.target("image", returns(command("wrapped", []string{"write", "image 1", "again"})))
	w.identity = "2"
	w.build(s)
	check(t, "same image", w.executor.ran.take(), "image: wrapped")
	w.target("image", returns(command("assemble", []string{"write", "image 2"})))
	w.identity = "3"
	check(t, "new image", w.build(s), strings.Replace(want, "image 1", "image 2", 1))
	check(t, "ran", w.executor.ran.take(), "check: boot image: assemble")

	var found bool
	for _, info := range observed(t, w, s) {
		if info.Label == "boot" {
			found = true
			check(t, "inputs", fmt.Sprint(len(info.Inputs)), "4")
			for _, line := range []string{"\nfurther-roots contract=1\n", "\nfurther-root image read-only true\n", "\nfurther-root image tmpfs \"/data\"\n", "\nfurther-root db "} {
				if !strings.Contains(info.Dump(), line) {
					t.Errorf("no %q in %s", line, info.Dump())
				}
			}
		}
	}
	if !found {
		t.Error("the graph has no such step")
	}
}

// observed builds s and gives its graph.
func observed(t *testing.T, w *world, s engine.Step) []engine.StepInfo {
	t.Helper()
	w.paranoid = true // every step by itself
	defer func() { w.paranoid = false }()
	e := w.engine()
	if _, err := e.Build(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return e.Graph(s)
}

// What AllActions gives can be run again: hints, merged, are the roots.
func TestFurtherRootsOfAllActions(t *testing.T) {
	w := newWorld(t)
	w.sources["app"] = map[string]string{"check.py": "1"}
	n := 0
	for a, err := range w.engine().AllActions(t.Context(), checkOf(command("assemble", []string{"write", "image"}))) {
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range a.Request.Action.Roots {
			n++
			var parts []tree.Part
			for _, l := range a.Request.RootLayers[root.Name] {
				parts = append(parts, tree.Part{Tree: l.Tree, At: l.At, Origin: l.At})
			}
			if merged, err := tree.Merge(t.Context(), w.store, parts...); err != nil || merged != root.Tree {
				t.Errorf("layers of %s give %s, %v, want %s", root.Name, merged, err, root.Tree)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d further roots", n)
	}
}

func TestFurtherRootsFail(t *testing.T) {
	w := newWorld(t)
	a, b := command("a", []string{"write", "1"}), command("b", []string{"write", "2"})
	boot := func(roots ...engine.Root) engine.Step {
		return engine.Run("boot", engine.Command{Args: []string{"roots"}, Outputs: []string{"/out"}, Roots: roots})
	}
	for _, c := range []struct {
		name string
		step engine.Step
		want string
	}{
		{"conflict", boot(engine.Root{Name: "image", Layers: []engine.Layer{at(a, "/x"), at(b, "/x")}}), "further root `image`: two layers have different things at `/x/out`"},
		{"name", boot(engine.Root{Name: "Image"}), `"Image" is no name for a further root`},
		{"twice", boot(engine.Root{Name: "x"}, engine.Root{Name: "x"}), `two further roots are called "x"`},
		{"input", boot(engine.Root{Name: "x", Layers: []engine.Layer{at(command("broken", []string{"fail", "3", "why"}), "/")}}), "step `broken`: the command ended with exit code 3"},
	} {
		if err := w.fail(c.step); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "layer of boot at x") {
			t.Errorf("%v", v)
		}
	}()
	boot(engine.Root{Name: "x", Layers: []engine.Layer{at(a, "x")}})
}

// rootsText is what the fake executor's command `roots` writes: the text of the root and of the further ones.
func rootsText(ctx context.Context, st store.Store, r executor.Request) (string, error) {
	text, err := textOf(ctx, st, r.Action.Root)
	for _, root := range r.Action.Roots {
		var s string
		if err == nil {
			s, err = textOf(ctx, st, root.Tree)
		}
		text += " " + root.Name
		if root.ReadOnly {
			text += " ro"
		}
		for _, p := range root.Tmpfs {
			text += " " + p
		}
		text += ":" + s
	}
	return text, err
}
