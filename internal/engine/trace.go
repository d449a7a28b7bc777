package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// A trace is what a plan asked, what it was answered and what it returned. Its file is: the magic line, the SHA-256 of
// the rest, the number of steps and the steps (those that were asked about and those of the result, in one table), the
// number of questions and the questions, the place of the result in the table, the notes. The last number of the magic
// line rises whenever any of that changes; a trace that cannot be read is no trace, and the plan runs.
const traceMagic = "hewn trace 3\n"

type trace struct {
	asked  []asked
	result Step
	notes  []string // what the plan had to say
	nodes  []*node  // of a trace that was read: all steps in it
}

// traceKey is the name under which the trace of a target is kept. identity changes with the plan's code.
func traceKey(target, identity string, p platform.Platform) string {
	text, _ := json.Marshal([]string{target, identity, p.OS, p.Arch, p.Libc}) // texts only: cannot fail
	return "plan-" + digest.Of(text).Hex()
}

func (t *trace) encode() []byte {
	var g graphWriter
	var q writer
	q.num(uint64(len(t.asked)))
	for _, a := range t.asked {
		q.b = append(q.b, byte(a.kind))
		if a.kind.pinned() {
			writeQuestion(&q, a.pins)
		}
		if a.kind != askArtifacts {
			q.num(uint64(g.add(a.on)))
			q.text(a.arg)
		}
		h := a.answer.Hash()
		q.b = append(q.b, h[:]...)
		q.num(uint64(a.answer.Size()))
	}
	q.num(uint64(g.add(t.result.n)))
	q.texts(t.notes)

	var body writer
	body.num(uint64(g.n))
	body.b = append(body.b, g.w.b...)
	body.b = append(body.b, q.b...)
	h := digest.Of(body.b).Hash()
	return append(append([]byte(traceMagic), h[:]...), body.b...)
}

func decodeTrace(b []byte) (*trace, error) {
	rest, ok := bytes.CutPrefix(b, []byte(traceMagic))
	if !ok || len(rest) < 32 {
		return nil, errors.New("engine: not a trace of this version")
	}
	if h := digest.Of(rest[32:]).Hash(); !bytes.Equal(h[:], rest[:32]) {
		return nil, errors.New("engine: trace is damaged")
	}
	r := &reader{s: string(rest[32:])}
	nodes, err := readGraph(r, r.count())
	if err != nil {
		return nil, err
	}
	pick := func() *node {
		i := r.num()
		if i >= uint64(len(nodes)) {
			r.fail()
			return nil
		}
		return nodes[i]
	}
	t := &trace{nodes: nodes}
	for range r.count() {
		var a asked
		a.kind = askKind(r.byte())
		if a.kind.pinned() {
			a.pins = readQuestion(r)
		}
		if a.kind != askArtifacts {
			a.on, a.arg = pick(), r.text()
		}
		hash, size := []byte(r.take(32)), r.num()
		if r.err != nil {
			return nil, r.err
		}
		if a.answer, err = digest.New(hash, int64(size)); err != nil {
			return nil, err
		}
		t.asked = append(t.asked, a)
	}
	t.result, t.notes = Step{pick()}, r.texts()
	if r.err == nil && len(r.s) != 0 {
		r.fail()
	}
	return t, r.err
}

// pinned says that a question of this kind is one to the pins.
func (k askKind) pinned() bool { return k == askArtifacts || k == askLines }

func writeQuestion(w *writer, q pins.Question) {
	w.texts([]string{string(q.Ecosystem), q.Set, q.Platform.OS, q.Platform.Arch, q.Platform.Libc})
	w.texts(q.Request)
}

func readQuestion(r *reader) pins.Question {
	t := r.texts()
	if len(t) != 5 {
		r.fail()
		return pins.Question{}
	}
	return pins.Question{Ecosystem: source.Ecosystem(t[0]), Set: t[1],
		Platform: platform.Platform{OS: t[2], Arch: t[3], Libc: t[4]}, Request: r.texts()}
}

// holds asks the questions of t again, in their order, and says whether all answers are what they were. An error that
// is no answer counts as a difference: the plan, when it runs, meets it where it can be explained.
func (t *trace) holds(ctx context.Context, w world) bool {
	for _, a := range t.asked {
		v, err := reply(ctx, w, a.question)
		if err != nil || digest.Of([]byte(v.text)) != a.answer {
			return false
		}
	}
	return true
}
