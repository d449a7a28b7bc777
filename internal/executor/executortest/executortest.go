// Package executortest is the conformance suite of executors and sessions: what package executor and
// docs/adr/0004-sandbox-contract.md promise to an action, tried by an action. It is for tests only.
//
// The root of the suite's actions is one static program, testdata/helper, which Helper builds.
package executortest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Fixture is what a suite runs against.
type Fixture struct {
	Executor executor.Executor
	Store    store.Store
	Helper   string // path of the helper's program on the host
	Local    bool   // whether actions run on this machine, so that it can be looked at for what they leave behind
}

// Helper builds the helper in dir and gives its path.
func Helper(dir string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	out := filepath.Join(dir, "helper")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./testdata/helper")
	cmd.Dir = filepath.Dir(file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the helper: %w\n%s", err, text)
	}
	return out, nil
}

// Skip skips a test for want of something, except where CI=true says that nothing may be wanting.
func Skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("must not be skipped in CI: "+format, args...)
	}
	t.Skipf(format, args...)
}

// Root is the tree with the helper at /bin/helper, and files where the keys of extra say; a key ending in / is an empty
// directory, a value "-> x" a link.
func (f *Fixture) Root(t testing.TB, extra map[string]string) tree.Tree {
	t.Helper()
	return f.tree(t, extra, true)
}

// Tree is a tree of files only.
func (f *Fixture) Tree(t testing.TB, files map[string]string) tree.Tree {
	t.Helper()
	return f.tree(t, files, false)
}

func (f *Fixture) tree(t testing.TB, files map[string]string, helper bool) tree.Tree {
	t.Helper()
	ctx := t.Context()
	b := tree.NewBuilder()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if helper {
		h, err := os.Open(f.Helper)
		must(err)
		defer h.Close()
		d, err := f.Store.Ingest(ctx, h)
		must(err)
		must(b.File("/bin/helper", d, true))
	}
	for p, content := range files {
		if strings.HasSuffix(p, "/") {
			must(b.Dir(strings.TrimSuffix(p, "/")))
			continue
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(b.Link(p, target))
			continue
		}
		d, err := f.Store.Put(ctx, []byte(content))
		must(err)
		must(b.File(p, d, false))
	}
	out, err := b.Build(ctx, f.Store)
	must(err)
	return out
}

// Run is one action to run; the zero values are what most tests want.
type Run struct {
	Root    map[string]string // besides the helper
	Layers  []executor.Layer  // besides the root
	Args    []string          // of the helper; or the whole command, if Command
	Command bool
	Env     map[string]string
	Dir     string
	Outputs []string
	AsRoot  bool
	Limits  executor.Limits
	Keep    bool
	Further []Further // further roots
}

// Further is a further root of an action, with the helper and files; see Fixture.Root.
type Further struct {
	Name     string
	Files    map[string]string
	ReadOnly bool
	Tmpfs    []string
}

// Request makes the request.
func (f *Fixture) Request(t testing.TB, r Run) executor.Request {
	t.Helper()
	root := f.Root(t, r.Root)
	layers := append([]executor.Layer{{Tree: root, At: "/"}}, r.Layers...)
	if len(r.Layers) > 0 {
		var parts []tree.Part
		for _, l := range layers {
			parts = append(parts, tree.Part{Tree: l.Tree, At: l.At, Origin: l.At})
		}
		var err error
		if root, err = tree.Merge(t.Context(), f.Store, parts...); err != nil {
			t.Fatal(err)
		}
	}
	args := r.Args
	if !r.Command {
		args = append([]string{"/bin/helper"}, args...)
	}
	var roots []action.Root
	for _, x := range r.Further {
		roots = append(roots, action.Root{Name: x.Name, Tree: f.Root(t, x.Files), ReadOnly: x.ReadOnly, Tmpfs: x.Tmpfs})
	}
	a, err := action.New(action.Action{
		Root: root, Args: args, Dir: r.Dir, Outputs: r.Outputs, Platform: platform.Host(), AsRoot: r.AsRoot, Roots: roots,
	}, r.Env)
	if err != nil {
		t.Fatal(err)
	}
	return executor.Request{Action: a, Layers: layers, Limits: r.Limits, Label: t.Name(), KeepFailed: r.Keep}
}

// Do runs an action and gives what it left and its log.
func (f *Fixture) Do(t testing.TB, r Run) (*executor.Outcome, string) {
	t.Helper()
	out, err := f.Executor.Execute(t.Context(), f.Request(t, r))
	if err != nil {
		t.Fatal(err)
	}
	return out, f.Log(t, out)
}

// Log reads an outcome's log.
func (f *Fixture) Log(t testing.TB, out *executor.Outcome) string {
	t.Helper()
	return f.blob(t, func(ctx context.Context) (io.ReadCloser, error) { return f.Store.Open(ctx, out.Log) })
}

func (f *Fixture) blob(t testing.TB, open func(context.Context) (io.ReadCloser, error)) string {
	t.Helper()
	r, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// OK runs an action that must succeed, and gives its log.
func (f *Fixture) OK(t testing.TB, r Run) (*executor.Outcome, string) {
	t.Helper()
	out, log := f.Do(t, r)
	if out.ExitCode != 0 || out.Killed != "" || len(out.Missing) > 0 {
		t.Fatalf("exit code %d, killed %q, missing %v, hints %q; its log:\n%s", out.ExitCode, out.Killed, out.Missing, out.Hints, log)
	}
	return out, log
}

// Text is a tree, one line an entry, with the content of files in place of their digests.
func (f *Fixture) Text(t testing.TB, tr tree.Tree) string {
	t.Helper()
	var b strings.Builder
	err := tree.Walk(t.Context(), f.Store, tr, func(p string, e tree.Entry) error {
		switch e.Kind {
		case tree.KindDir:
			fmt.Fprintf(&b, "%s/\n", p)
		case tree.KindLink:
			fmt.Fprintf(&b, "%s -> %s\n", p, e.Target)
		case tree.KindFile:
			content := f.blob(t, func(ctx context.Context) (io.ReadCloser, error) { return f.Store.Open(ctx, e.Digest) })
			x := ""
			if e.Executable {
				x = "*"
			}
			fmt.Fprintf(&b, "%s%s = %s\n", p, x, content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
