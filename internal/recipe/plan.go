package recipe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
)

// Plans gives the engine the plans of a recipe's targets. identity is what, besides the recipe itself, decides what a
// plan does: the build ID of this hewn, since plans of ecosystems are its code.
func (r *Recipe) Plans(identity string) engine.Targets { return plans{r, identity} }

type plans struct {
	r        *Recipe
	identity string
}

// Plan gives the plan of a target and its identity.
func (p plans) Plan(name string) (engine.Plan, string, error) {
	t, err := p.r.Target(name)
	if err != nil {
		return nil, "", err
	}
	vars := make([]string, 0, len(p.r.vars))
	for k, v := range p.r.vars {
		vars = append(vars, fmt.Sprintf("%q=%q", k, v))
	}
	for _, k := range slices.Sorted(maps.Keys(p.r.configured)) {
		vars = append(vars, fmt.Sprintf("source %q", k))
	}
	if t.Image {
		vars = append(vars, p.r.images.identity(name))
	}
	sort.Strings(vars)
	id := digest.Of(fmt.Appendf(nil, "%s\n%s\n%q\n%s", p.identity, p.r.Digest, name, strings.Join(vars, "\n")))
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		return p.r.run(ctx, ask, t)
	}, id.Hex(), nil
}

// errCancelled is the reason that Starlark gives when the run has ended under an evaluation.
var errCancelled = errors.New("the run has ended")

// run calls a target's function.
func (r *Recipe) run(ctx context.Context, ask *engine.Ask, t *Target) (engine.Step, error) {
	th := &starlark.Thread{Name: t.Name}
	th.SetMaxExecutionSteps(maxSteps)
	th.SetLocal(planKey, &planState{ctx, ask, r, t.Name})
	stop := context.AfterFunc(ctx, func() { th.Cancel(errCancelled.Error()) })
	defer stop()
	v, err := starlark.Call(th, t.fn, starlark.Tuple{&target{t.Name}}, nil)
	if err != nil {
		// What a question was answered with is told also where it has ended the run; only an interrupted evaluation is not.
		if ctx.Err() != nil && strings.Contains(err.Error(), errCancelled.Error()) {
			return engine.Step{}, context.Cause(ctx)
		}
		return engine.Step{}, problem(r.Name, err)
	}
	tv, ok := asTree(v)
	if !ok {
		return engine.Step{}, diag.Inputf("recipe-error", "the function of target `%s` gives back %s, not a tree", t.Name, v.Type()).
			At(functionPosition(t)).
			Hint("end it with `return` and what run(), merge() or a source gives")
	}
	return tv.rooted(), nil
}

// functionPosition is where a target's function stands, or, for one that is not written in Starlark, its declaration.
func functionPosition(t *Target) diag.Position {
	if f, ok := t.fn.(*starlark.Function); ok {
		return position(f.Position())
	}
	return t.pos
}

// UnknownSource is the problem of a source that the recipe does not have; it names the nearest.
func (r *Recipe) UnknownSource(name string) *diag.Problem {
	names := make([]string, 0, len(r.Sources))
	for n := range r.Sources {
		names = append(names, n)
	}
	sort.Strings(names)
	p := diag.Inputf("unknown-source", "the recipe `%s` has no source `%s`", r.Name, name)
	if near := nearest(name, names); near != "" {
		return p.Hint("did you mean `%s`?", near)
	}
	return p.Hint("add a table [%s] to its %s", name, SourcesFile)
}
