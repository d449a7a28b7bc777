package engine

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// everything is a graph with each kind of step and each field set.
func everything(t testing.TB) Step {
	t.Helper()
	sum, err := source.ParseIntegrity("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	fetch := FetchLocked(source.Artifact{Ecosystem: source.NPM, Name: "@a/b", Version: "1", File: "b-1.tgz", Path: "pool/b", URL: "https://r.example/b", Integrity: sum, Size: 1 << 40},
		diag.Position{File: "app/package-lock.json", Line: 3, Key: "packages.@a/b"})
	git := Git(source.GitRef{Repo: "upstream:a/b", Rev: "v1", Commit: strings.Repeat("c", 40), Subdir: "sub"})
	native := Native("unpack", NativeDef{Name: "unpack", Version: 7}, map[string]any{"b": 1, "a": []string{"x"}}, fetch.Step, git.Step)
	return Run("build", Command{
		Args: []string{"a", "", "c d"}, Env: map[string]string{"K": "v=w", "E": ""}, Dir: "/src",
		Layers:  []Layer{{native, "/n"}, {Source("app").Step, "/src"}, {Target("lib"), "/lib"}, {Tree(tree.Of(digest.Of([]byte("x")))).Step, "/t"}, {native, "/again"}},
		Outputs: []string{"/out", "/b"}, AsRoot: true, Platform: platform.Platform{OS: "linux", Arch: "arm64", Libc: "musl"},
		Limits: executor.Limits{Time: time.Minute, Memory: 5, Processes: 6},
	})
}

// booted is everything beside further roots.
func booted(t testing.TB) Step {
	t.Helper()
	s := everything(t)
	c := *s.n.Command
	c.Roots = []Root{
		{Name: "image", Layers: []Layer{{Target("image"), "/"}, {s, "/late"}}, ReadOnly: true, Tmpfs: []string{"/data", "/media"}},
		{Name: "empty"},
		{Name: "db", Layers: []Layer{{c.Layers[0].Step, "/"}}},
	}
	return Run("boot", c)
}

// sameStep compares two graphs field by field; the order and identity of shared nodes included.
func sameStep(t *testing.T, a, b *node) {
	t.Helper()
	if a.id != b.id || a.Label != b.Label || a.static != b.static || a.targets != b.targets || len(a.in) != len(b.in) {
		t.Fatalf("%+v\nwant %+v", b, a)
	}
	if a.Op != b.Op || a.Tree != b.Tree || a.Name != b.Name || a.Artifact != b.Artifact || a.Locked != b.Locked || a.Git != b.Git || string(a.Params) != string(b.Params) {
		t.Fatalf("%+v\nwant %+v", b, a)
	}
	if (a.Command == nil) != (b.Command == nil) {
		t.Fatalf("%+v\nwant %+v", b, a)
	}
	if a.Command != nil {
		x, y := *a.Command, *b.Command
		var ats [2][]string
		for i, c := range []*Command{&x, &y} {
			in := [][]*node{a.in, b.in}[i]
			for _, layers := range c.layers() {
				for _, l := range layers {
					if l.Step.n != in[0] {
						t.Fatalf("a layer of %s at %s is not its input", b.Label, l.At)
					}
					ats[i], in = append(ats[i], l.At), in[1:]
				}
				ats[i] = append(ats[i], "and")
			}
			c.Layers, c.Roots = nil, slices.Clone(c.Roots)
			for j := range c.Roots {
				c.Roots[j].Layers = nil
			}
		}
		if !slices.Equal(ats[0], ats[1]) {
			t.Fatalf("layers of %s at %v, want %v", b.Label, ats[1], ats[0])
		}
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\nwant %+v", y, x)
		}
	}
	for i := range a.in {
		sameStep(t, a.in[i], b.in[i])
	}
}

func TestTraceRoundTrip(t *testing.T) {
	s := booted(t)
	app := Source("app")
	tr := &trace{result: s}
	for i, q := range []question{
		{kind: askRead, on: app.n, arg: "a/b"}, {kind: askExists, on: app.n, arg: ""}, {kind: askList, on: Sub(app.Step, "x").n, arg: "."},
		{kind: askGlob, on: app.n, arg: "**"}, {kind: askTree, on: app.n}, {kind: askInfo, on: app.n},
		{kind: askArtifacts, pins: pins.Question{Ecosystem: source.Debian, Set: "root/x", Platform: platform.Platform{OS: "linux", Arch: "amd64"}, Request: []string{"a", "b c"}}},
		{kind: askArtifacts, pins: pins.Question{Set: "x"}},
	} {
		tr.asked = append(tr.asked, asked{q, digest.Of([]byte{byte(i)})})
	}
	got, err := decodeTrace(tr.encode())
	if err != nil {
		t.Fatal(err)
	}
	sameStep(t, s.n, got.result.n)
	if len(got.asked) != len(tr.asked) {
		t.Fatalf("%d questions", len(got.asked))
	}
	for i, a := range tr.asked {
		b := got.asked[i]
		if a.kind != b.kind || a.arg != b.arg || a.answer != b.answer || !reflect.DeepEqual(a.pins, b.pins) {
			t.Errorf("%+v, want %+v", b, a)
		}
		if a.on != nil {
			sameStep(t, a.on, b.on)
		}
	}
	if n := got.result.n; n.in[0] != n.in[4] || n.in[0] != n.in[7] {
		t.Error("a shared step was written twice")
	}
}

// The encoding is written by hand: whoever adds a field to one of these must write it as well, and then change the
// number here.
func TestEncodedTypesHaveNoMoreFields(t *testing.T) {
	for _, c := range []struct {
		v any
		n int
	}{
		{source.Artifact{}, 8}, {source.GitRef{}, 4}, {Command{}, 9}, {Root{}, 4}, {Layer{}, 2}, {executor.Limits{}, 3}, {pins.Question{}, 4}, {platform.Platform{}, 3},
	} {
		if got := reflect.TypeOf(c.v).NumField(); got != c.n {
			t.Errorf("%T has %d fields, the encoding has %d", c.v, got, c.n)
		}
	}
}

// Two descriptions have one identity exactly if they say the same; the label is no part of what they say.
func TestIdentity(t *testing.T) {
	a, b := everything(t), everything(t)
	if a.ID() != b.ID() {
		t.Error("equal descriptions differ")
	}
	x := Tree(tree.Empty).Step
	ids := map[digest.Digest]string{}
	for name, s := range map[string]Step{
		"native":            Native("n", NativeDef{Name: "n", Version: 1}, "p", x),
		"native version":    Native("n", NativeDef{Name: "n", Version: 2}, "p", x),
		"native parameters": Native("n", NativeDef{Name: "n", Version: 1}, "q", x),
		"native inputs":     Native("n", NativeDef{Name: "n", Version: 1}, "p", x, x),
		"no input":          Native("n", NativeDef{Name: "n", Version: 1}, "p"),
		"source":            Source("a").Step,
		"target":            Target("a"),
		"run":               Run("r", Command{Args: []string{"a"}}),
		"run at":            Run("r", Command{Args: []string{"a"}, Layers: []Layer{{x, "/"}}}),
		"run at other":      Run("r", Command{Args: []string{"a"}, Layers: []Layer{{x, "/x"}}}),
		"args cut":          Run("r", Command{Args: []string{"a", "b"}}),
		"args joined":       Run("r", Command{Args: []string{"ab"}}),
		"root":              Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "x"}}}),
		"root's name":       Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "y"}}}),
		"read-only root":    Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "x", ReadOnly: true}}}),
		"root with tmpfs":   Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "x", Tmpfs: []string{"/a"}}}}),
		"root's layer":      Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "x", Layers: []Layer{{x, "/"}}}}}),
		"root's layer at":   Run("r", Command{Args: []string{"a"}, Roots: []Root{{Name: "x", Layers: []Layer{{x, "/x"}}}}}),
		"layer and root":    Run("r", Command{Args: []string{"a"}, Layers: []Layer{{x, "/"}}, Roots: []Root{{Name: "x"}}}),
		"out":               Run("r", Command{Args: []string{"a"}, Outputs: []string{"/b"}}),
	} {
		if other, twice := ids[s.ID()]; twice {
			t.Errorf("%s and %s have one identity", name, other)
		}
		ids[s.ID()] = name
	}
	if Native("other label", NativeDef{Name: "n", Version: 1}, "p", x).ID() != Native("n", NativeDef{Name: "n", Version: 1}, "p", x).ID() {
		t.Error("the label is part of the identity")
	}
}

// Identities stand for steps in caches that users have: a change of the encoding forgets all of them.
func TestIdentityStays(t *testing.T) {
	if got, want := everything(t).ID().String(), "af81463c066db4f047c8d63cdcf434effe41ed6b3ac7631f4b13ed7d5103478d/244"; got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}

func TestStaticTypes(t *testing.T) {
	app, run := Source("app").Step, Run("r", Command{Args: []string{"a"}})
	for name, c := range map[string]struct {
		s    Step
		want bool
	}{
		"source": {app, true}, "sub of source": {Sub(app, "x"), true}, "merge": {Merge("m", Part{app, "/"}, Part{app, "/x"}), true},
		"run": {run, false}, "sub of run": {Sub(run, "x"), false}, "target": {Target("t"), false}, "merge with run": {Merge("m", Part{app, "/"}, Part{run, "/x"}), false},
	} {
		if _, ok := c.s.Static(); ok != c.want {
			t.Errorf("%s: static %v", name, ok)
		}
	}
	if got := targetsOf(Merge("m", Part{Target("b"), "/"}, Part{Sub(Target("a"), "x"), "/a"}, Part{Target("b"), "/b"}).n); !reflect.DeepEqual(got, []string{"b", "a"}) {
		t.Errorf("targets %v", got)
	}
}

// Whatever stands in a trace, reading it ends, with an error or with a graph that can be written again.
func FuzzDecodeTrace(f *testing.F) {
	tr := &trace{result: everything(f), asked: []asked{{question{kind: askRead, on: Source("a").n, arg: "x"}, digest.Empty}}}
	good := tr.encode()
	f.Add(good[len(traceMagic)+32:])
	f.Add((&trace{result: booted(f)}).encode()[len(traceMagic)+32:])
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, body []byte) {
		h := digest.Of(body).Hash() // so that the fuzzer gets past the sum
		got, err := decodeTrace(append(append([]byte(traceMagic), h[:]...), body...))
		if err != nil {
			return
		}
		again, err := decodeTrace(got.encode())
		if err != nil || again.result.ID() != got.result.ID() {
			t.Errorf("written again: %v", err)
		}
	})
}

// Every damage to a trace is seen.
func TestDamagedTraces(t *testing.T) {
	good := (&trace{result: everything(t)}).encode()
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x40
		if _, err := decodeTrace(bad); err == nil {
			t.Fatalf("byte %d changed, and nobody noticed", i)
		}
		if _, err := decodeTrace(good[:i]); err == nil {
			t.Fatalf("cut after %d bytes, and nobody noticed", i)
		}
	}
}

func TestRecord(t *testing.T) {
	r := Record{Sources: map[string]string{"app": "fp"}, Output: tree.Empty, Steps: Stats{Total: 3, Cached: 3}}
	got, err := DecodeRecord(r.Encode())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", "{}", `{"output":"x"}`} {
		if _, err := DecodeRecord([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if RecordKey("a", "bc") == RecordKey("ab", "c") {
		t.Error("keys of different parts are equal")
	}
}

func TestPoolAndFlights(t *testing.T) {
	p := &pool{limit: 3}
	done := make(chan int, 100)
	for i := range 100 {
		p.run(func() { done <- i })
	}
	for range 100 {
		<-done
	}
	var f flights
	again := 0
	if !f.join("a", func() {}) || f.join("a", func() { again++ }) || !f.join("b", func() {}) {
		t.Error("join")
	}
	f.land("a")
	if again != 1 || !f.join("a", func() {}) {
		t.Error("land")
	}
}

func TestFile(t *testing.T) {
	src := Source("app")
	static := func(s Step) Static { st, _ := s.Static(); return st }
	for want, s := range map[string]Static{
		"app/go.sum":        src,
		"app/web/ui/go.sum": static(Sub(Select(Sub(src.Step, "web"), "ui"), "ui")),
		"app/sub/go.sum":    static(Sub(Remove(src.Step, "x"), "/sub")),
		"both/go.sum":       static(Merge("both", Part{src.Step, "/a"}, Part{src.Step, "/b"})),
	} {
		if got := s.File("go.sum"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
