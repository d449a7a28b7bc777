package git

import (
	"context"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Memory keeps small notes between runs. Losing one costs time and nothing else.
type Memory interface {
	LoadRecord(key string) ([]byte, bool)
	SaveRecord(key string, b []byte) error
}

// Description is what a commit says of itself.
type Description struct {
	Commit string // its own hash; a pin may name an annotated tag, which stands for its commit
	Time   int64  // of the committer, in seconds since 1970
}

// Describe tells about ref.Commit. Where its tree was asked for before, nothing is fetched or run.
func (g *Git) Describe(ctx context.Context, ref source.GitRef) (Description, error) {
	if d, ok := g.knownDescription(ref); ok {
		return d, nil
	}
	var d Description
	err := g.withCommit(ctx, ref, func(repo string) (err error) {
		if d, err = g.describe(ctx, repo, ref); err == nil {
			g.save(describedAs(ref), d.String())
		}
		return err
	})
	return d, err
}

func (g *Git) describe(ctx context.Context, repo string, ref source.GitRef) (Description, error) {
	out, err := g.run(ctx, repo, nil, "log", "-1", "--no-show-signature", "--format=%H %ct", ref.Commit+"^{commit}", "--")
	if err != nil {
		return Description{}, diag.Failf("fetch-failed", "cannot read commit %.12s of `%s`", ref.Commit, ref.Repo).Because(err)
	}
	d, ok := parseDescription(strings.TrimSuffix(string(out), "\n"))
	if !ok {
		return d, diag.Failf("fetch-failed", "commit %.12s of `%s` has no time that can be read", ref.Commit, ref.Repo)
	}
	return d, nil
}

// String is how a description is kept.
func (d Description) String() string { return d.Commit + " " + strconv.FormatInt(d.Time, 10) }

func parseDescription(text string) (Description, bool) {
	commit, seconds, _ := strings.Cut(text, " ")
	t, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || t < 0 || !commitForm.MatchString(commit) {
		return Description{}, false
	}
	return Description{Commit: commit, Time: t}, true
}

// A commit is known by its hash alone, wherever it was fetched from: the hash covers all of it.
func describedAs(ref source.GitRef) string { return "git-commit " + ref.Commit }

func treeOf(ref source.GitRef) string {
	return "git-tree " + ref.Commit + " " + strings.Trim(ref.Subdir, "/")
}

func (g *Git) knownDescription(ref source.GitRef) (Description, bool) {
	if g.cfg.Memory == nil {
		return Description{}, false
	}
	b, ok := g.cfg.Memory.LoadRecord(describedAs(ref))
	if !ok {
		return Description{}, false
	}
	return parseDescription(string(b))
}

// knownTree is the tree that was read from ref before, if the store still has all of it.
func (g *Git) knownTree(ctx context.Context, ref source.GitRef) (tree.Tree, bool) {
	if g.cfg.Memory == nil {
		return tree.Tree{}, false
	}
	b, ok := g.cfg.Memory.LoadRecord(treeOf(ref))
	if !ok {
		return tree.Tree{}, false
	}
	d, err := digest.Parse(string(b))
	if err != nil {
		return tree.Tree{}, false
	}
	t := tree.Of(d)
	missing, err := store.MissingOf(ctx, g.cfg.Store, t, nil)
	return t, err == nil && len(missing) == 0
}

func (g *Git) remember(ref source.GitRef, d Description, t tree.Tree) {
	g.save(describedAs(ref), d.String())
	g.save(treeOf(ref), t.Digest().String())
}

func (g *Git) save(key, text string) {
	if g.cfg.Memory != nil {
		_ = g.cfg.Memory.SaveRecord(key, []byte(text)) // without it the next run is slower, no more
	}
}
