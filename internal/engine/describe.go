package engine

import (
	"fmt"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// describe makes the description of t's step, whose inputs are done but for the lazy ones. It is the only place where
// steps get keys; the encodings are package action's.
func (r *run) describe(t *task) (*description, error) {
	switch t.n.Op {
	case opFetch:
		a := t.n.Artifact
		if err := checkArtifact(a); err != nil {
			return nil, err
		}
		return describeNative(&action.Native{Name: "fetch/v1", Inputs: []string{artifactIdentity(a)}}), nil
	case opGit:
		if t.n.Git.Commit == "" {
			return nil, diag.Inputf("pin-missing", "git source `%s` at `%s` has no commit pinned", t.n.Git.Repo, t.n.Git.Rev).
				Hint("pin it: `hewn update --missing`")
		}
		return describeNative(&action.Native{Name: "git/v1", Inputs: []string{gitIdentity(t.n.Git)}}), nil
	case opNative:
		return r.describeNativeStep(t)
	case opRun:
		return r.describeAction(t)
	}
	return nil, fmt.Errorf("engine: a %q step has no key", t.n.Op)
}

func describeNative(n *action.Native) *description { return &description{key: n.Key(), native: n} }

// artifactIdentity stands for an artifact in keys: what its bytes must be, and the name under which a tree holds them.
// Where it comes from, and what version it calls itself, cannot change a result.
func artifactIdentity(a source.Artifact) string {
	return fmt.Sprintf("artifact %s %q", a.Integrity, a.File)
}

func gitIdentity(g source.GitRef) string { return fmt.Sprintf("git %s %q", g.Commit, g.Subdir) }

func checkArtifact(a source.Artifact) error {
	if a.Integrity.IsZero() {
		return diag.Inputf("integrity-missing", "artifact %s (`%s`, %s) has no integrity: nothing says what its bytes must be", a, a.File, a.Ecosystem).
			Hint("pin it: `hewn update --missing`")
	}
	if err := tree.CheckName(a.File); err != nil {
		return diag.Inputf("bad-artifact", "artifact %s cannot be kept under its file name", a).Because(err)
	}
	return nil
}

func (r *run) describeNativeStep(t *task) (*description, error) {
	if _, ok := r.e.natives[t.n.Name]; !ok {
		return nil, fmt.Errorf("engine: no native step is called %s", t.n.Name)
	}
	d := &action.Native{Name: t.n.Name, Params: t.n.Params, Inputs: make([]string, len(t.n.in))}
	for i, in := range t.n.in {
		switch in.Op {
		case opFetch:
			if err := checkArtifact(in.Artifact); err != nil {
				return nil, err
			}
			d.Inputs[i] = artifactIdentity(in.Artifact)
		case opGit:
			d.Inputs[i] = gitIdentity(in.Git)
		default:
			d.Inputs[i] = "tree " + t.in[i].result.output.String()
		}
	}
	return describeNative(d), nil
}

func (r *run) describeAction(t *task) (*description, error) {
	c := t.n.Command
	layers, root, err := r.root(t, 0, c.Layers)
	if err != nil {
		return nil, err
	}
	var roots []action.Root
	rootLayers := map[string][]executor.Layer{}
	first := len(c.Layers)
	for _, f := range c.Roots {
		further := action.Root{Name: f.Name, ReadOnly: f.ReadOnly, Tmpfs: f.Tmpfs}
		if rootLayers[f.Name], further.Tree, err = r.root(t, first, f.Layers); err != nil {
			return nil, fmt.Errorf("further root `%s`: %w", f.Name, err)
		}
		roots = append(roots, further)
		first += len(f.Layers)
	}
	p := c.Platform
	if p.OS == "" {
		p = r.e.cfg.Platform
	}
	a, err := action.New(action.Action{
		Root: root, Args: c.Args, Dir: c.Dir, Outputs: c.Outputs, Platform: p, AsRoot: c.AsRoot, Roots: roots,
	}, c.Env)
	if err != nil {
		return nil, err
	}
	q := &executor.Request{Action: a, Layers: layers, Limits: c.Limits, Label: t.label()}
	if len(roots) > 0 {
		q.RootLayers = rootLayers
	}
	return &description{key: a.Key(), request: q}, nil
}

// root merges layers, which are inputs of t from first on, into one root.
func (r *run) root(t *task, first int, layers []Layer) ([]executor.Layer, tree.Tree, error) {
	mounts := make([]executor.Layer, len(layers))
	for i, l := range layers {
		mounts[i] = executor.Layer{Tree: t.in[first+i].result.output, At: l.At}
	}
	if len(mounts) == 1 && mounts[0].At == "/" {
		return mounts, mounts[0].Tree, nil
	}
	parts := make([]tree.Part, len(layers))
	for i, l := range mounts {
		parts[i] = tree.Part{Tree: l.Tree, At: l.At, Origin: t.n.in[first+i].Label}
	}
	root, err := tree.Merge(r.ctx, r.e.cfg.Store, parts...)
	return mounts, root, conflictProblem("layers", err)
}
