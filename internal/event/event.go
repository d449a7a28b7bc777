// Package event is what happens in a run, as values on one stream.
//
// The terminal, the plain lines, the JSON output, the report and the trace read that stream and nothing else.
package event

import (
	"time"

	"hewn.example/hewn/internal/digest"
)

// Sink receives events. It is called from many goroutines, must not block for long and must not keep byte slices.
type Sink func(Event)

// Emit sends e unless the sink is nil, so that callers need no test of their own.
func (s Sink) Emit(e Event) {
	if s != nil {
		s(e)
	}
}

// Event is one of the types of this package.
type Event interface{ event() }

// StepKind says what a step does.
type StepKind string

// The kinds of step.
const (
	KindAction StepKind = "action"
	KindNative StepKind = "native"
	KindFetch  StepKind = "fetch"
	KindSource StepKind = "source"
	KindPlan   StepKind = "plan"
)

// StepStarted: a step was not in any cache and now runs.
type StepStarted struct {
	Label string // target and role: "webui", "python-deps: lxml 6.0.2 wheel"
	Kind  StepKind
	Key   string
	At    time.Time
}

// StepLog: a running action wrote output.
type StepLog struct {
	Label string
	Key   string
	Text  []byte
}

// StepDone: a step has its result, or failed.
type StepDone struct {
	Label   string
	Kind    StepKind
	Key     string
	Cached  bool // the result came from a cache; StepStarted was not sent
	Output  digest.Digest
	Seconds float64
	Err     error
	Log     digest.Digest // the whole log of an action
}

// Progress: bytes of a download or an ingest. Total is 0 where unknown.
type Progress struct {
	Label string
	Done  int64
	Total int64
}

// Note: something that a person should read once: a repinned root, a skipped install script.
type Note struct {
	Level string // "info" or "warning"
	Text  string
	Hints []string
}

// TargetDone: a target that was asked for has its tree.
type TargetDone struct {
	Target  string
	Output  digest.Digest
	Path    string
	Total   int // steps in its graph
	Run     int
	Cached  int
	Seconds float64
}

// ServiceLine: one line of a service's output under `up`.
type ServiceLine struct {
	Service string
	Text    string
}

func (StepStarted) event() {}
func (StepLog) event()     {}
func (StepDone) event()    {}
func (Progress) event()    {}
func (Note) event()        {}
func (TargetDone) event()  {}
func (ServiceLine) event() {}
