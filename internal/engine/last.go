package engine

import (
	"encoding/json"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/tree"
)

// LastStep is what is remembered of a step of a target when the process that evaluated it has ended, for `hewn log` and
// `hewn why`. Blobs that it names may be gone from the store by then.
type LastStep struct {
	Label    string         `json:"label"`
	Kind     event.StepKind `json:"kind"`
	Key      digest.Digest  `json:"key"`
	Dump     digest.Digest  `json:"dump"`            // of the blob that holds the text of the key
	Was      digest.Digest  `json:"was,omitzero"`    // the Dump of the key that the step had before it changed
	Output   tree.Tree      `json:"output,omitzero"` // zero if the step failed
	Log      digest.Digest  `json:"log,omitzero"`
	Seconds  float64        `json:"seconds,omitempty"`
	Failed   bool           `json:"failed,omitempty"`
	ExitCode int            `json:"exitCode,omitempty"`
	Kept     string         `json:"kept,omitempty"` // where the root of a failed action was kept
}

func lastKey(workspace, target string) string {
	text, _ := json.Marshal([]string{workspace, target}) // texts only: cannot fail
	return "last-" + digest.Of(text).Hex()
}

// LoadLast gives what is remembered of the last evaluation of a target of a workspace (Config.Workspace): its actions
// and native steps, inputs first. It is empty where nothing is remembered.
func LoadLast(t Traces, workspace, target string) []LastStep {
	b, ok := t.LoadTrace(lastKey(workspace, target))
	if !ok {
		return nil
	}
	var steps []LastStep
	if json.Unmarshal(b, &steps) != nil {
		return nil // written by another version of hewn, or damaged: as good as nothing
	}
	return steps
}

// remember writes down what became of the targets of this run. Where nothing was run, what was written before still
// holds.
func (r *run) remember() {
	r.mu.Lock()
	fresh := r.fresh
	plans := map[string]*node{}
	for _, t := range r.tasks {
		if t.n.Op == opTarget && t.plan != nil {
			plans[t.n.Name] = t.plan.n
		}
	}
	r.mu.Unlock()
	for name, n := range plans {
		if !fresh {
			if _, there := r.e.cfg.Traces.LoadTrace(lastKey(r.e.cfg.Workspace, name)); there {
				continue
			}
		}
		before := LoadLast(r.e.cfg.Traces, r.e.cfg.Workspace, name)
		b, err := json.Marshal(r.e.lastSteps(n, before))
		if err == nil {
			err = r.e.cfg.Traces.SaveTrace(lastKey(r.e.cfg.Workspace, name), b)
		}
		if err != nil {
			r.e.cfg.Events.Emit(event.Note{Level: "warning", Text: "cannot remember the logs of target " + name + ": " + err.Error()})
		}
	}
}

// lastSteps is what became of the steps of one target, n being what its plan returned. What was not reached this time
// stays as it was before.
func (e *Engine) lastSteps(n *node, before []LastStep) []LastStep {
	old := map[string]LastStep{}
	for _, s := range before {
		old[s.Label] = s
	}
	steps := []LastStep{}
	seen := map[*node]bool{}
	var visit func(*node)
	visit = func(n *node) {
		if n.Op == opTarget || seen[n] {
			return
		}
		seen[n] = true
		for _, in := range n.in {
			visit(in)
		}
		if n.Op != opRun && n.Op != opNative || e.own[n.Name] {
			return
		}
		was, had := old[n.Label]
		res := e.memo[n.id]
		if res == nil {
			res = e.broken[n.id]
		}
		if res == nil || res.description == nil && had { // not needed, or found by its description: as it was
			if had {
				steps = append(steps, was)
			}
			return
		}
		s := LastStep{Label: n.Label, Kind: n.kind(), Output: res.output, Log: res.log, Seconds: res.seconds,
			Failed: res.state == Failed, ExitCode: res.exitCode, Kept: res.kept}
		if res.description != nil {
			s.Key, s.Dump = res.key.Digest(), digest.Of([]byte(res.dump()))
		}
		if s.Was = was.Was; had && was.Key != s.Key {
			s.Was = was.Dump
		}
		steps = append(steps, s)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	visit(n)
	return steps
}
