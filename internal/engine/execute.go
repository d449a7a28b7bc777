package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// execute runs the step of t, whose inputs are all there, tells of it and keeps the result. The result of a failed
// step carries what is known of the failure.
func (r *run) execute(t *task) (*result, error) {
	sink, begin := r.e.cfg.Events, time.Now()
	if t.suspect == nil {
		sink.Emit(event.StepStarted{Label: t.label(), Kind: t.n.kind(), Key: t.keyText(), At: begin})
	}
	res := &result{description: t.desc, state: Ran}
	err := guard(func() error { return r.perform(t, res) })
	res.seconds = time.Since(begin).Seconds()
	if t.suspect != nil {
		if err == nil {
			err = r.compare(t, res)
		}
		if err == nil {
			return t.suspect, nil
		}
	}
	if err == nil && t.desc != nil {
		err = r.e.cfg.Store.Record(r.ctx, t.desc.key, store.Result{Output: res.output, Log: res.log, Seconds: res.seconds})
	}
	if err != nil {
		res.state, res.err, res.output = Failed, err, tree.Tree{}
		if r.ctx.Err() == nil && (t.n.Op == opRun && res.exitCode != 0 || t.n.Op == opNative) {
			r.e.mu.Lock()
			r.e.failed[t.desc.key] = res
			r.e.mu.Unlock()
		}
	}
	if t.n.Op == opSource && err == nil {
		res.state = Known
	}
	sink.Emit(event.StepDone{Label: t.label(), Kind: t.n.kind(), Key: t.keyText(), Output: res.output.Digest(),
		Seconds: res.seconds, Err: err, Log: res.log})
	return res, err
}

// perform does what the step says and fills res.
func (r *run) perform(t *task, res *result) (err error) {
	cfg := &r.e.cfg
	switch t.n.Op {
	case opSource:
		res.output, err = cfg.Sources.Tree(r.ctx, t.n.Name)
	case opFetch:
		var d digest.Digest
		if d, err = cfg.Fetcher.Fetch(r.ctx, t.n.Artifact); err == nil {
			file := tree.File{Name: t.n.Artifact.File, Digest: d}
			res.output, err = cfg.Store.PutDirectory(r.ctx, &tree.Directory{Files: []tree.File{file}})
		}
		err = atLock(t.n, err)
	case opGit:
		res.output, err = cfg.Fetcher.FetchGit(r.ctx, t.n.Git)
	case opNative:
		call := NativeCall{Params: t.n.Params, Store: cfg.Store}
		for i, u := range t.in {
			call.Inputs = append(call.Inputs, u.result.output)
			call.Labels = append(call.Labels, t.n.in[i].Label)
		}
		res.output, err = r.e.natives[t.n.Name].Run(r.ctx, call)
		err = r.advised(conflictProblem("parts", err), call.Inputs)
		r.keepDump(t)
	case opRun:
		r.keepDump(t)
		err = r.runAction(t, res)
	}
	if err == nil && res.output.IsZero() {
		err = errors.New("it gave no tree, although it reported no error")
	}
	return err
}

// atLock says of an artifact that could not be fetched where its lock names it.
func atLock(n *node, err error) error {
	if err == nil || n.Locked.File == "" || errors.Is(err, context.Canceled) {
		return err
	}
	var p *diag.Problem
	if !errors.As(err, &p) || error(p) != err {
		return diag.Failf("fetch-failed", "cannot fetch `%s`", n.Artifact.String()).Because(err).At(n.Locked)
	}
	out := *p
	if out.Pos.File == "" {
		out.Pos = n.Locked
	}
	return &out
}

func (r *run) runAction(t *task, res *result) error {
	q := *t.desc.request
	q.KeepFailed = r.e.cfg.KeepFailed
	q.Log = logWriter{sink: r.e.cfg.Events, label: t.label(), key: t.keyText()}
	out, err := r.e.cfg.Executor.Execute(r.ctx, q)
	if err != nil {
		return err
	}
	res.output, res.log, res.exitCode, res.kept = out.Output, out.Log, out.ExitCode, out.Kept
	if out.ExitCode != 0 || out.Killed != "" || len(out.Missing) > 0 {
		return r.actionProblem(t, out)
	}
	return nil
}

// logWriter makes events of what an action writes.
type logWriter struct {
	sink       event.Sink
	label, key string
}

func (w logWriter) Write(p []byte) (int, error) {
	w.sink.Emit(event.StepLog{Label: w.label, Key: w.key, Text: p})
	return len(p), nil
}

// PanicError is a panic in a native step, a plan or a part of hewn that a step called. It is always a fault in hewn.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says what was thrown; the stack is for whoever mends it.
func (e *PanicError) Error() string { return fmt.Sprintf("fault in hewn: %v", e.Value) }

// guard makes an error of a panic in f.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// compare says whether the native step of t, run again, gave what the cache has.
func (r *run) compare(t *task, res *result) error {
	if res.output == t.suspect.output {
		return nil
	}
	return r.impureProblem(context.WithoutCancel(r.ctx), t, res)
}
