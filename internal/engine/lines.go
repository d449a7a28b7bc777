package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// maxObserved bounds a file whose lines are pinned: they have to be read in a lock that people commit.
const maxObserved = 4 << 20

// Observe gives the lines of text that answer q. Only a run of s can tell them: they are those of a file in its tree. A
// build takes them from the pins, and never runs s while it plans; an update runs it if q must be resolved, and pins what
// comes of it. So s may be any step, and need not be Static. No lines are an answer too.
func (a *Ask) Observe(ctx context.Context, q pins.Question, s Step, file string) ([]string, error) {
	v, err := a.ask(ctx, question{kind: askLines, on: s.n, arg: file, pins: q})
	return v.lines, err
}

// replyLines answers a question of Observe.
func replyLines(ctx context.Context, w world, q question) (answer, error) {
	lines, err := w.config().Pins.Lines(ctx, q.pins, func(ctx context.Context) ([]string, error) { return observe(ctx, w, q.on, q.arg) })
	if err != nil {
		return answer{}, err
	}
	raw, err := json.Marshal(append([]string{}, lines...)) // none is one answer, whether it is nil or not
	return answer{lines: lines, text: string(raw)}, err
}

// observe runs n and gives the lines of a file in its tree.
func observe(ctx context.Context, w world, n *node, file string) ([]string, error) {
	t, err := w.observed(ctx, n)
	if err != nil {
		return nil, err
	}
	st := w.config().Store
	wrong := func(why error) error {
		return diag.Failf("not-observed", "%s did not leave what was to be observed, `%s`", n.Label, file).Because(why)
	}
	_, e, err := tree.Resolve(ctx, st, t, file)
	switch {
	case errors.Is(err, tree.ErrNotExist):
		return nil, wrong(err)
	case err != nil:
		return nil, err
	case e.Kind != tree.KindFile:
		return nil, wrong(fmt.Errorf("it is a %s", e.Kind))
	}
	b, err := store.ReadBlob(ctx, st, e.Digest, maxObserved)
	var tooLarge *store.TooLargeError
	switch {
	case errors.As(err, &tooLarge):
		return nil, wrong(err)
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}
