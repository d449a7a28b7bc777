// Package git reads commits with the machine's git: into a private bare repository, with hooks and configuration off,
// and by objects, so that no checkout filter, attribute or LFS smudge ever runs.
package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Config is what a Git works with.
type Config struct {
	Store interface {
		store.Blobs
		tree.Dirs
	}
	// Aliases maps the left side of `alias:path`, or a host name, to URLs with {name} and {path}.
	Aliases map[string][]string
	// Cache gives a directory of this process's own for the bare repository of a URL, kept between runs if it can be.
	Cache   func(key string) (dir string, release func(), err error)
	Memory  Memory   // nil: every commit is read from its repository again
	Env     []string // HOME, SSH_AUTH_SOCK, proxies: what git may see of the caller's environment
	Offline bool
}

// Git fetches commits. It may be used from many goroutines.
type Git struct{ cfg Config }

// New makes a Git; nothing is run before it is used.
func New(cfg Config) *Git { return &Git{cfg} }

var commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// URLs gives the addresses of a repository in the order in which they are tried.
func (g *Git) URLs(repo string) ([]string, error) {
	alias, right, ok := strings.Cut(repo, ":")
	if ok && !strings.HasPrefix(right, "//") && !strings.Contains(alias, "@") && !strings.Contains(alias, "/") {
		if urls := g.cfg.Aliases[alias]; len(urls) > 0 {
			return expand(urls, right), nil
		}
		return nil, diag.Inputf("alias-missing", "cannot find the repository `%s`: nothing says where `%s` is", repo, alias).
			Hint("add to hewn.toml: [alias.%s] urls = [\"https://your-forge.example/mirrors/{name}\"]", alias)
	}
	u, err := url.Parse(repo)
	if err != nil || u.Scheme == "" {
		return []string{repo}, nil
	}
	if urls := g.cfg.Aliases[u.Hostname()]; len(urls) > 0 {
		return expand(urls, strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")), nil
	}
	if strings.HasSuffix(u.Hostname(), ".example") {
		return nil, diag.Inputf("alias-missing", "cannot find the repository `%s`: its host is an identity, not an address", repo).
			Hint("add to hewn.toml: [alias.\"%s\"] urls = [\"https://your-forge/{path}\"]", u.Hostname())
	}
	return []string{repo}, nil
}

func expand(urls []string, right string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = strings.NewReplacer("{name}", path.Base(right), "{path}", right).Replace(u)
	}
	return out
}

// Commit finds the commit that rev (a tag, branch or commit) is now. For an annotated tag in a bundle, which does not
// say where its tags point, it is the tag itself, which names the commit just as firmly.
func (g *Git) Commit(ctx context.Context, repo, rev string) (string, error) {
	if commitForm.MatchString(rev) {
		return rev, nil
	}
	urls, err := g.URLs(repo)
	if err != nil {
		return "", err
	}
	var last error
	for _, u := range urls {
		out, err := g.run(ctx, "", nil, "ls-remote", "--", u, "refs/tags/"+rev+"^{}", "refs/tags/"+rev, "refs/heads/"+rev, rev)
		if err != nil {
			last = err
			continue
		}
		if c := pick(string(out), rev); c != "" {
			return c, nil
		}
		last = fmt.Errorf("%s has no tag or branch `%s`", u, rev)
	}
	return "", diag.Failf("rev-missing", "cannot find `%s` of `%s`", rev, repo).Because(last)
}

// pick chooses among the lines of ls-remote: a peeled tag, then a tag, then a branch, then any other ref.
func pick(out, rev string) string {
	refs := map[string]string{}
	for _, l := range strings.Split(out, "\n") {
		if hash, ref, ok := strings.Cut(l, "\t"); ok && commitForm.MatchString(hash) {
			refs[ref] = hash
		}
	}
	for _, ref := range []string{"refs/tags/" + rev + "^{}", "refs/tags/" + rev, "refs/heads/" + rev, rev} {
		if refs[ref] != "" {
			return refs[ref]
		}
	}
	return ""
}

// Tree gives the tree of ref.Commit, below ref.Subdir if that is set. A commit that was read before is neither fetched nor
// read again.
func (g *Git) Tree(ctx context.Context, ref source.GitRef) (tree.Tree, error) {
	if t, ok := g.knownTree(ctx, ref); ok {
		return t, nil
	}
	var t tree.Tree
	err := g.withCommit(ctx, ref, func(repo string) error {
		d, err := g.describe(ctx, repo, ref)
		if err != nil {
			return err
		}
		if t, err = g.read(ctx, repo, ref); err == nil {
			g.remember(ref, d, t)
		}
		return err
	})
	return t, err
}

// withCommit calls f with a bare repository that has ref.Commit.
func (g *Git) withCommit(ctx context.Context, ref source.GitRef, f func(repo string) error) error {
	if !commitForm.MatchString(ref.Commit) {
		return diag.Inputf("bad-commit", "`%s` of `%s` is no commit", ref.Commit, ref.Repo)
	}
	urls, err := g.URLs(ref.Repo)
	if err != nil {
		return err
	}
	return g.withRepo(ctx, ref.Repo, len(ref.Commit) == 64, func(repo string) error {
		if !g.has(ctx, repo, ref.Commit) {
			if g.cfg.Offline {
				return diag.Failf("fetch-failed", "cannot fetch commit %.12s of `%s`: `--offline` forbids it", ref.Commit, ref.Repo).
					Hint("run `hewn fetch` while there is a network")
			}
			if err := g.fetch(ctx, repo, urls, ref); err != nil {
				return err
			}
		}
		return f(repo)
	})
}

// withRepo calls f with the bare repository in which what was fetched of the repository called name is kept.
func (g *Git) withRepo(ctx context.Context, name string, sha256 bool, f func(repo string) error) error {
	key, initialise := "git-"+digest.Of([]byte(name)).Hex()[:24], []string{"init", "--quiet", "--bare"}
	if sha256 {
		key, initialise = key+"-sha256", append(initialise, "--object-format=sha256")
	}
	repo, release, err := g.cfg.Cache(key)
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(filepath.Join(repo, "HEAD")); err != nil {
		if _, err := g.run(ctx, "", nil, append(initialise, repo)...); err != nil {
			return err
		}
	}
	return f(repo)
}

func (g *Git) has(ctx context.Context, repo, commit string) bool {
	_, err := g.run(ctx, repo, nil, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// fetch asks for the one commit; a server that gives only what its refs point at is asked for all of them.
func (g *Git) fetch(ctx context.Context, repo string, urls []string, ref source.GitRef) error {
	var tried []string
	for _, u := range urls {
		_, err := g.run(ctx, repo, nil, "fetch", "--quiet", "--no-tags", "--depth=1", "--", u, ref.Commit)
		if err != nil || !g.has(ctx, repo, ref.Commit) {
			_, err = g.run(ctx, repo, nil, "fetch", "--quiet", "--no-tags", "--", u, "+refs/*:refs/hewn/*")
		}
		if err == nil && g.has(ctx, repo, ref.Commit) {
			return nil
		}
		if err == nil {
			err = errors.New("it does not have this commit")
		}
		tried = append(tried, u+": "+err.Error())
	}
	return diag.Failf("fetch-failed", "cannot fetch commit %.12s of `%s`", ref.Commit, ref.Repo).With(tried...).
		Hint("see [alias] in hewn.toml for where repositories are looked for")
}

type object struct {
	mode, hash, path string
}

func (g *Git) read(ctx context.Context, repo string, ref source.GitRef) (tree.Tree, error) {
	spec := ref.Commit
	if ref.Subdir != "" {
		spec += ":" + strings.Trim(ref.Subdir, "/")
	}
	out, err := g.run(ctx, repo, nil, "ls-tree", "-r", "-z", "--full-tree", spec)
	if err != nil {
		return tree.Tree{}, diag.Failf("fetch-failed", "cannot read `%s` of commit %.12s of `%s`", ref.Subdir, ref.Commit, ref.Repo).Because(err)
	}
	var objects []object
	var ask bytes.Buffer
	for _, l := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		head, name, ok := strings.Cut(l, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 {
			continue
		}
		if f[1] != "blob" {
			return tree.Tree{}, diag.Failf("git-submodule", "`%s` holds the submodule `%s`, which hewn does not fetch", ref.Repo, name).
				Hint("declare the submodule's repository as a source of its own")
		}
		objects = append(objects, object{f[0], f[2], name})
		ask.WriteString(f[2] + "\n")
	}
	cmd := g.command(ctx, repo, "cat-file", "--batch")
	cmd.Stdin = &ask
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return tree.Tree{}, err
	}
	if err := cmd.Start(); err != nil {
		return tree.Tree{}, noGit(err)
	}
	t, err := g.build(ctx, bufio.NewReaderSize(pipe, 1<<16), objects)
	_, _ = io.Copy(io.Discard, pipe)
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return t, err
}

func (g *Git) build(ctx context.Context, r *bufio.Reader, objects []object) (tree.Tree, error) {
	b := tree.NewBuilder()
	for _, o := range objects {
		var hash, kind string
		var size int64
		if _, err := fmt.Fscanf(r, "%s %s %d\n", &hash, &kind, &size); err != nil || hash != o.hash {
			return tree.Tree{}, fmt.Errorf("git cat-file gave an unexpected answer for `%s`", o.path)
		}
		body := io.LimitReader(r, size)
		if o.mode == "120000" {
			target, err := io.ReadAll(body)
			if err != nil {
				return tree.Tree{}, err
			}
			if err := b.Link(o.path, string(target)); err != nil {
				return tree.Tree{}, err
			}
		} else {
			d, err := g.cfg.Store.Ingest(ctx, body)
			if err != nil {
				return tree.Tree{}, err
			}
			if d.Size() != size {
				return tree.Tree{}, io.ErrUnexpectedEOF
			}
			if err := b.File(o.path, d, o.mode == "100755"); err != nil {
				return tree.Tree{}, err
			}
		}
		if _, err := r.Discard(1); err != nil { // the newline behind each object
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, g.cfg.Store)
}

func (g *Git) command(ctx context.Context, repo string, args ...string) *exec.Cmd {
	full := []string{"-c", "core.hooksPath=/dev/null", "-c", "transfer.fsckObjects=true", "-c", "protocol.ext.allow=never",
		"-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "credential.interactive=false"}
	if repo != "" {
		full = append(full, "--git-dir="+repo)
	}
	cmd := exec.CommandContext(ctx, "git", append(full, args...)...)
	cmd.Env = append([]string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C"}, g.cfg.Env...)
	return cmd
}

func (g *Git) run(ctx context.Context, repo string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := g.command(ctx, repo, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil, noGit(err)
	}
	msg := strings.TrimSpace(stderr.String())
	if i := strings.LastIndexByte(msg, '\n'); i >= 0 {
		msg = msg[i+1:]
	}
	return nil, fmt.Errorf("git %s: %s", args[0], strings.TrimPrefix(msg, "fatal: "))
}

func noGit(err error) error {
	return diag.Environmentf("git-missing", "cannot run git").Because(err).
		Hint("install git; hewn uses it to read git sources")
}
