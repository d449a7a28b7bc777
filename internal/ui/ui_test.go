package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: -want +got\n%s", file, d)
	}
}

// clock is the time as the test wants it.
type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) tick(d time.Duration) { c.t = c.t.Add(d) }
func newClock() *clock                { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }
func visible(s string) string {
	return strings.NewReplacer("\r\x1b[K", "⟲\n", "\x1b", "␛").Replace(s)
}
func plainUI(out, errs *bytes.Buffer) *UI  { return New(Config{Stdout: out, Stderr: errs, Mode: Plain}) }
func wrapped(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }

// script is a run as the engine tells it.
func script(u *UI, c *clock) {
	start := func(label, key string, kind event.StepKind) {
		u.Event(event.StepStarted{Label: label, Key: key, Kind: kind, At: c.now()})
	}
	out := digest.Of([]byte("x"))
	u.Event(event.StepDone{Label: "python-deps", Kind: event.KindAction, Cached: true, Output: out})
	start("webui", "k1", event.KindAction)
	c.tick(150 * time.Millisecond)
	start("fetch lit 3.0.0", "k2", event.KindFetch)
	u.Event(event.Progress{Label: "fetch lit 3.0.0", Done: 10, Total: 100})
	c.tick(2 * time.Second)
	u.Event(event.StepDone{Label: "fetch lit 3.0.0", Key: "k2", Kind: event.KindFetch, Output: out, Seconds: 2})
	u.Event(event.StepLog{Label: "webui", Key: "k1", Text: []byte("bundling\n")})
	u.Event(event.Note{Level: "warning", Text: "the root `assembled` has gone from its archive and was pinned anew", Hints: []string{"commit `sources.lock`"}})
	u.Event(event.Note{Level: "info", Text: "install script of `esbuild` skipped"})
	c.tick(time.Second)
	start("client", "k3", event.KindAction)
	start("client", "k4", event.KindAction) // the same label twice
	u.Event(event.StepDone{Label: "client", Key: "k3", Kind: event.KindAction, Seconds: 0.4, Err: errors.New("exit code 1")})
	c.tick(time.Second)
	u.Event(event.StepDone{Label: "unpacked", Key: "k5", Kind: event.KindNative, Seconds: 0.2})
	u.Event(event.ServiceLine{Service: "server", Text: "listening \x1b[31mon\x1b[0m 9000"})
	u.Event(event.StepDone{Label: "webui", Key: "k1", Kind: event.KindAction, Output: out, Seconds: 4.25})
	c.tick(time.Second)
	u.Event(event.StepDone{Label: "client", Key: "k4", Kind: event.KindAction, Output: out, Seconds: 2})
	u.Event(event.TargetDone{Target: "webui", Output: out, Total: 5, Run: 3, Cached: 1, Seconds: 5.15})
	u.Say("%s is ready", "webui")
	u.Finish()
	u.Result("webui " + out.String())
}

func TestRuns(t *testing.T) {
	for _, mode := range []Mode{Plain, TTY, JSON} {
		t.Run(string(mode), func(t *testing.T) {
			var out, errs bytes.Buffer
			c := newClock()
			u := New(Config{Stdout: &out, Stderr: &errs, Mode: mode, Color: mode == TTY, Now: c.now, Width: func() int { return 60 }})
			script(u, c)
			golden(t, "run-"+string(mode), visible(errs.String()))
			if want := "webui " + digest.Of([]byte("x")).String() + "\n"; out.String() != want {
				t.Errorf("stdout has %q, want %q", out.String(), want)
			}
		})
	}
}

func TestJSONIsJSON(t *testing.T) {
	var errs bytes.Buffer
	c := newClock()
	script(New(Config{Stdout: &bytes.Buffer{}, Stderr: &errs, Mode: JSON, Now: c.now}), c)
	n := 0
	for _, l := range strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n") {
		var e struct {
			Event string
			Data  map[string]any
			Error string
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.Event == "" || e.Data == nil {
			t.Errorf("%s: %v", l, err)
		}
		if e.Event == "StepLog" && e.Data["Text"] != "bundling\n" {
			t.Errorf("the text of a log is %v", e.Data["Text"])
		}
		if e.Error != "" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d errors, want 1", n)
	}
}

// TestStatusLineComesBack says that a line for people does not leave the terminal without status until the next event.
func TestStatusLineComesBack(t *testing.T) {
	var errs bytes.Buffer
	c := newClock()
	u := New(Config{Stdout: &bytes.Buffer{}, Stderr: &errs, Mode: TTY, Now: c.now})
	c.tick(time.Hour)
	u.Event(event.StepStarted{Label: "webui", Key: "k", At: c.now()})
	u.Event(event.Note{Text: "something"})
	if got := visible(errs.String()); !strings.HasSuffix(got, "[0 done, 0 cached, 1 running] webui") {
		t.Errorf("after a note the terminal shows\n%s", got)
	}
}

func TestStatusLineFitsTheTerminal(t *testing.T) {
	for _, width := range []int{0, 1, 5, 20, 33, 34, 35, 200} {
		var errs bytes.Buffer
		c := newClock()
		u := New(Config{Stdout: &bytes.Buffer{}, Stderr: &errs, Mode: TTY, Now: c.now, Width: func() int { return width }})
		c.tick(time.Hour)
		u.Event(event.StepStarted{Label: "wéb\nui", Key: "k", At: c.now()})
		line := errs.String()
		if n := len([]rune(line)); width > 4 && n >= width {
			t.Errorf("width %d: %d columns: %q", width, n, line)
		}
	}
}

func TestProblems(t *testing.T) {
	pin := func() *diag.Problem {
		return diag.Inputf("pin-missing", "nothing is pinned for this").
			At(diag.Position{File: "sources.lock", Key: "debian root/assembled linux/amd64"}).
			Hint("run `hewn update --missing` to pin what is missing, then commit `sources.lock`")
	}
	failed := diag.Failf("action-failed", "target webui: step `npm run build`").Because(errors.New("the command ended with exit code 2")).
		With("> esbuild", "error: \x1b[31mno such file\x1b[0m\a: web/src/main.ts\n  at line 3").
		Hint("the whole log: `hewn log examples/miniature:webui`").Hint("look around: `hewn shell examples/miniature:webui`")
	around := *pin()
	around.What, around.Cause, around.Pos = "target assembled", wrapped("reading the root", pin()), diag.Position{}
	for name, err := range map[string]error{
		"plain":   errors.New("the disk is full"),
		"input":   diag.Inputf("unknown-key", "unknown key").At(diag.Position{File: "hewn.toml", Line: 3, Col: 1, Key: "recip"}).Hint("the file has the keys recipe, origins"),
		"failed":  failed,
		"wrapped": wrapped("cannot build", pin()),
		"chain":   &around,
		"nested":  diag.Failf("fetch", "cannot fetch `lxml`").Because(pin().Hint("or ask somebody")).Hint("is the mirror up?"),
		"joined":  errors.Join(failed, pin(), wrapped("again", pin()), pin(), errors.Join(errors.New("two"), errors.New("three"))),
		"inside":  diag.Failf("many", "several origins failed").Because(errors.Join(diag.Failf("a", "first").Hint("try a"), diag.Failf("b", "second").Hint("try b"))),
	} {
		t.Run(name, func(t *testing.T) {
			var errs bytes.Buffer
			plainUI(nil, &errs).Problem(err)
			golden(t, "problem-"+name, visible(errs.String()))
		})
	}
	t.Run("colour", func(t *testing.T) {
		var errs bytes.Buffer
		New(Config{Stderr: &errs, Mode: TTY, Color: true}).Problem(failed)
		golden(t, "problem-colour", visible(errs.String()))
	})
	t.Run("nil", func(t *testing.T) {
		var errs bytes.Buffer
		plainUI(nil, &errs).Problem(nil)
		if errs.Len() != 0 {
			t.Errorf("no problem is told as %q", errs.String())
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":            "plain\ttext\n",
		"\x1b[1;31mred\x1b[0m":     "red",
		"\x1b]0;title\x07after":    "after",
		"\x1b]8;;x\x1b\\link":      "link",
		"back\b\rspace":            "backspace",
		"\x1b[2J\x1b[Hgone":        "gone",
		"c1 \u009b31m":             "c1 31m",
		"broken \xff":              "broken \uFFFD",
		"Grüße, 世界":                "Grüße, 世界",
		"an escape at the end\x1b": "an escape at the end",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestManyGoroutines is for the race detector, and says that lines stay whole.
func TestManyGoroutines(t *testing.T) {
	var out, errs bytes.Buffer
	u := plainUI(&out, &errs)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				label := fmt.Sprintf("step-%d-%d", i, j)
				u.Event(event.StepStarted{Label: label, Key: label, Kind: event.KindAction})
				u.Event(event.StepDone{Label: label, Key: label, Kind: event.KindAction})
				u.Result(label)
				u.Say("said %s", label)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(errs.String(), "\n"); n != 8*50*3 {
		t.Errorf("%d lines on stderr", n)
	}
	for _, l := range strings.Split(strings.TrimSpace(errs.String()), "\n") {
		if !strings.HasPrefix(l, "run ") && !strings.HasPrefix(l, "done ") && !strings.HasPrefix(l, "said ") {
			t.Fatalf("a broken line: %q", l)
		}
	}
}
