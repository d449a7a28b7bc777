// Package ui turns events and problems into text: a status line on a terminal, plain lines elsewhere, or JSON.
// It is the one place that speaks to people. Results go to stdout by way of Result; all else goes to stderr.
package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/event"
)

// Mode says how progress is shown.
type Mode string

// The values of --progress; Auto is settled by the caller, who knows what stderr is.
const (
	Auto  Mode = "auto"
	TTY   Mode = "tty"
	Plain Mode = "plain"
	JSON  Mode = "json"
)

// Config is what a UI writes to.
type Config struct {
	Stdout io.Writer
	Stderr io.Writer
	Mode   Mode // TTY, Plain or JSON
	Color  bool
	Width  func() int // of the terminal, in columns
	Now    func() time.Time
}

// UI shows a run. It may be used from many goroutines.
type UI struct {
	cfg Config

	mu      sync.Mutex
	running map[string]running // by key: two steps may have one label
	done    int
	cached  int
	drawn   bool // there is a status line
	stale   bool // it was taken away for a line, and must come back at once
	last    time.Time
}

// running is a step that runs.
type running struct {
	label string
	since time.Time
}

// New makes a UI.
func New(cfg Config) *UI {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Width == nil {
		cfg.Width = func() int { return 80 }
	}
	return &UI{cfg: cfg, running: map[string]running{}}
}

// Event shows one event; it is an event.Sink.
func (u *UI) Event(e event.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cfg.Mode == JSON {
		u.json(e)
		return
	}
	switch e := e.(type) {
	case event.StepStarted:
		u.running[e.Key+" "+e.Label] = running{e.Label, e.At}
		if u.cfg.Mode == Plain && e.Kind == event.KindAction {
			u.line("run    " + e.Label)
		}
	case event.StepDone:
		delete(u.running, e.Key+" "+e.Label)
		u.stepDone(e)
	case event.Note:
		u.note(e)
	case event.ServiceLine:
		u.line(u.paint(dim, fmt.Sprintf("%-10s ", e.Service)) + clean(e.Text))
	}
	u.draw()
}

func (u *UI) stepDone(e event.StepDone) {
	if e.Cached {
		u.cached++
		return
	}
	u.done++
	if u.cfg.Mode != Plain || e.Kind == event.KindPlan || e.Kind == event.KindSource {
		return
	}
	switch {
	case e.Err != nil:
		u.line("failed " + e.Label)
	case e.Kind == event.KindAction || e.Seconds >= 1:
		u.line(fmt.Sprintf("done   %s (%.1f s)", e.Label, e.Seconds))
	}
}

func (u *UI) note(e event.Note) {
	head := "note: "
	if e.Level == "warning" {
		head = u.paint(yellow, "warning: ")
	}
	u.line("hewn: " + head + e.Text)
	for _, h := range e.Hints {
		u.line("  hint: " + h)
	}
}

// jsonEvent is the form of --progress=json: one object a line on stderr, with the event's name and fields.
type jsonEvent struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
	Error string `json:"error,omitempty"`
}

// jsonLog is a StepLog whose text can be read.
type jsonLog struct {
	Label string
	Key   string
	Text  string
}

func (u *UI) json(e event.Event) {
	j := jsonEvent{Event: strings.TrimPrefix(fmt.Sprintf("%T", e), "event."), Data: e}
	switch e := e.(type) {
	case event.StepDone:
		if e.Err != nil {
			j.Error = e.Err.Error()
			e.Err = nil
			j.Data = e
		}
	case event.StepLog:
		j.Data = jsonLog{e.Label, e.Key, string(e.Text)}
	}
	if b, err := json.Marshal(j); err == nil {
		_, _ = u.cfg.Stderr.Write(append(b, '\n'))
	}
}

// line writes a whole line above the status line.
func (u *UI) line(s string) {
	u.stale = u.stale || u.drawn
	u.clear()
	_, _ = fmt.Fprintln(u.cfg.Stderr, s)
}

func (u *UI) clear() {
	if u.drawn {
		_, _ = io.WriteString(u.cfg.Stderr, "\r\x1b[K")
		u.drawn = false
	}
}

// redraw is how often the status line may change: more often is no use to an eye.
const redraw = 100 * time.Millisecond

func (u *UI) draw() {
	if u.cfg.Mode != TTY {
		return
	}
	now := u.cfg.Now()
	if !u.stale && now.Sub(u.last) < redraw {
		return
	}
	u.last, u.stale = now, false
	u.clear()
	if len(u.running) == 0 {
		return
	}
	steps := slices.SortedFunc(maps.Values(u.running), func(a, b running) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.label, b.label))
	})
	s := fmt.Sprintf("[%d done, %d cached, %d running] %s", u.done, u.cached, len(steps), clean(steps[0].label))
	if d := now.Sub(steps[0].since); d >= time.Second {
		s += fmt.Sprintf(" %ds", int(d.Seconds()))
	}
	for _, r := range steps[1:min(3, len(steps))] {
		s += ", " + clean(r.label)
	}
	if w := u.cfg.Width(); w > 4 {
		r := []rune(s)
		if len(r) >= w {
			s = string(r[:w-2]) + "…"
		}
	}
	_, _ = io.WriteString(u.cfg.Stderr, s)
	u.drawn = true
}

// Finish takes the status line away.
func (u *UI) Finish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
}

// Result writes a line of results to stdout.
func (u *UI) Result(s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	_, _ = fmt.Fprintln(u.cfg.Stdout, s)
}

// Say writes a line for people to stderr.
func (u *UI) Say(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cfg.Mode != JSON {
		u.line(fmt.Sprintf(format, args...))
	}
}

// Problem shows an error, in every mode as text, since it is the last thing that a person reads.
func (u *UI) Problem(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range flatten(err) {
		u.line(u.render(e))
	}
}

// flatten takes joined errors apart and drops what stands twice.
func flatten(err error) []error {
	var out []error
	seen := map[string]bool{}
	var walk func(error)
	walk = func(e error) {
		if e == nil {
			return
		}
		if j, ok := e.(interface{ Unwrap() []error }); ok {
			for _, x := range j.Unwrap() {
				walk(x)
			}
			return
		}
		if !seen[e.Error()] {
			seen[e.Error()] = true
			out = append(out, e)
		}
	}
	walk(err)
	return out
}

// render is the text of one error: its line, then the details and hints of every Problem in its chain, outermost first,
// details and hints once.
func (u *UI) render(err error) string {
	var b strings.Builder
	b.WriteString("hewn: " + u.paint(red, "error: ") + strings.ReplaceAll(clean(err.Error()), "\n", "\n    "))
	said := map[string]bool{}
	var walk func(error)
	walk = func(e error) {
		if p, ok := e.(*diag.Problem); ok {
			// What words were put around keeps its details; they are told once.
			if all := strings.Join(p.Detail, "\n"); all != "" && !said[all] {
				said[all] = true
				b.WriteString("\n    " + strings.ReplaceAll(clean(all), "\n", "\n    "))
			}
			for _, h := range p.Hints {
				if !said[h] {
					said[h] = true
					b.WriteString("\n  " + u.paint(bold, "hint: ") + clean(h))
				}
			}
		}
		switch x := e.(type) {
		case interface{ Unwrap() error }:
			walk(x.Unwrap())
		case interface{ Unwrap() []error }:
			for _, y := range x.Unwrap() {
				walk(y)
			}
		}
	}
	walk(err)
	return b.String()
}

// controls are what a terminal obeys: sequences that begin with ESC, and other control characters but tab and newline.
var controls = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b.|[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f]")

// clean takes out what a terminal would obey: logs and names come from outside.
func clean(s string) string { return controls.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "") }

const (
	red    = "31"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

func (u *UI) paint(code, s string) string {
	if !u.cfg.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
