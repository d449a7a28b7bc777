package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/source"
)

var shortForm = regexp.MustCompile(`^[0-9a-f]{12}$`)

// Archive calls f with the name of a zip file of all that a commit has, below one directory. rev is a tag, or the first
// 12 digits of a commit. It is for formats that are defined by what `git archive` writes; the file is gone afterwards.
//
// Attributes of the repository are honoured where they say how lines end, but not where they leave out or fill in, and no
// filter program is run: that is how the go command has it.
func (g *Git) Archive(ctx context.Context, repo, rev string, f func(zip string) error) error {
	if g.cfg.Offline {
		return diag.Failf("fetch-failed", "cannot read `%s`: `--offline` forbids it", repo).Hint("run `hewn fetch` while there is a network")
	}
	commit, err := g.commitOf(ctx, repo, rev)
	if err != nil {
		return err
	}
	return g.withCommit(ctx, source.GitRef{Repo: repo, Rev: rev, Commit: commit}, func(dir string) error {
		attributes := filepath.Join(dir, "info", "attributes")
		if err := os.MkdirAll(filepath.Dir(attributes), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(attributes, []byte("* -export-subst -export-ignore\n"), 0o644); err != nil {
			return err
		}
		temp, err := os.MkdirTemp(dir, "archive-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		zip := filepath.Join(temp, "a.zip")
		_, err = g.run(ctx, dir, nil, "-c", "core.autocrlf=input", "-c", "core.eol=lf", "archive", "--format=zip", "--prefix=a/", "--output="+zip, commit)
		if err != nil {
			return err
		}
		return f(zip)
	})
}

// commitOf is Commit, for the first digits of a commit as well.
func (g *Git) commitOf(ctx context.Context, repo, rev string) (string, error) {
	if !shortForm.MatchString(rev) {
		return g.Commit(ctx, repo, rev)
	}
	urls, err := g.URLs(repo)
	if err != nil {
		return "", err
	}
	var last error
	for _, u := range urls {
		out, err := g.run(ctx, "", nil, "ls-remote", "--", u)
		if err != nil {
			last = err
			continue
		}
		sha256 := false
		for line := range strings.Lines(string(out)) {
			hash, _, _ := strings.Cut(line, "\t")
			if strings.HasPrefix(hash, rev) && commitForm.MatchString(hash) && !strings.Contains(line, "refs/tags/") {
				return hash, nil
			}
			sha256 = sha256 || len(hash) == 64
		}
		// No branch ends there: it is somewhere in the history, all of which has to be here then.
		var commit string
		err = g.withRepo(ctx, repo, sha256, func(dir string) error {
			if _, err := g.run(ctx, dir, nil, "fetch", "--quiet", "--no-tags", "--depth=2147483647", "--", u, "+refs/*:refs/hewn/*"); err != nil {
				return err
			}
			out, err := g.run(ctx, dir, nil, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
			commit = strings.TrimSpace(string(out))
			return err
		})
		if err == nil && commitForm.MatchString(commit) {
			return commit, nil
		}
		if err == nil {
			err = fmt.Errorf("%s does not have it", u)
		}
		last = err
	}
	return "", diag.Failf("rev-missing", "cannot find the commit %s of `%s`", rev, repo).Because(last)
}
