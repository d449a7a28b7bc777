// Package ui turns events and problems into text: a status line on a terminal, plain lines elsewhere, or JSON.
// It is the one place that speaks to people. Results go to stdout by way of Result; all else goes to stderr.
package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	running map[string]time.Time // labels of the steps that run, and since when
	bytes   map[string]event.Progress
	done    int
	cached  int
	drawn   bool
	last    time.Time
}

// New makes a UI.
func New(cfg Config) *UI {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Width == nil {
		cfg.Width = func() int { return 80 }
	}
	return &UI{cfg: cfg, running: map[string]time.Time{}, bytes: map[string]event.Progress{}}
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
		u.running[e.Label] = e.At
		if u.cfg.Mode == Plain && e.Kind == event.KindAction {
			u.line("run    " + e.Label)
		}
	case event.StepDone:
		delete(u.running, e.Label)
		delete(u.bytes, e.Label)
		u.stepDone(e)
	case event.Progress:
		u.bytes[e.Label] = e
	case event.Note:
		u.note(e)
	case event.ServiceLine:
		u.line(u.paint(dim, fmt.Sprintf("%-10s ", e.Service)) + e.Text)
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
	Event string      `json:"event"`
	Data  event.Event `json:"data"`
	Error string      `json:"error,omitempty"`
}

func (u *UI) json(e event.Event) {
	name := strings.TrimPrefix(fmt.Sprintf("%T", e), "event.")
	j := jsonEvent{Event: name, Data: e}
	if d, ok := e.(event.StepDone); ok && d.Err != nil {
		j.Error = d.Err.Error()
		d.Err = nil
		j.Data = d
	}
	if b, err := json.Marshal(j); err == nil {
		_, _ = u.cfg.Stderr.Write(append(b, '\n'))
	}
}

// line writes a whole line above the status line.
func (u *UI) line(s string) {
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
	if now.Sub(u.last) < redraw {
		return
	}
	u.last = now
	u.clear()
	if len(u.running) == 0 {
		return
	}
	labels := slices.SortedFunc(maps.Keys(u.running), func(a, b string) int { return u.running[a].Compare(u.running[b]) })
	s := fmt.Sprintf("[%d done, %d cached, %d running] %s", u.done, u.cached, len(labels), labels[0])
	if d := now.Sub(u.running[labels[0]]); d >= time.Second {
		s += fmt.Sprintf(" %ds", int(d.Seconds()))
	}
	for _, l := range labels[1:min(3, len(labels))] {
		s += ", " + l
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

func (u *UI) render(err error) string {
	var b strings.Builder
	b.WriteString("hewn: " + u.paint(red, "error: ") + err.Error())
	hints := map[string]bool{}
	for e := err; e != nil; {
		var p *diag.Problem
		if !errors.As(e, &p) {
			break
		}
		for _, l := range p.Detail {
			b.WriteString("\n    " + strings.ReplaceAll(l, "\n", "\n    "))
		}
		for _, h := range p.Hints {
			hints[h] = true
			b.WriteString("\n  " + u.paint(bold, "hint: ") + h)
		}
		e = p.Cause
	}
	return b.String()
}

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
