package sandbox_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

func TestMain(m *testing.M) {
	if sandbox.ServerMain(os.Args) {
		return
	}
	os.Exit(m.Run())
}

// plainViews copies trees into directories.
type plainViews struct {
	store store.Store
	dir   string
	mu    sync.Mutex
}

func (v *plainViews) View(ctx context.Context, t tree.Tree) (string, func(), error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := filepath.Join(v.dir, t.Digest().Hex())
	if _, err := os.Stat(at); err == nil {
		return at, func() {}, nil
	}
	os.Mkdir(at, 0o755)
	return at, func() {}, tree.Walk(ctx, v.store, t, func(p string, e tree.Entry) error {
		p = filepath.Join(at, p)
		switch e.Kind {
		case tree.KindDir:
			return os.Mkdir(p, 0o755)
		case tree.KindLink:
			return os.Symlink(e.Target, p)
		}
		b, err := store.ReadBlob(ctx, v.store, e.Digest, 1<<30)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if e.Executable {
			mode = 0o755
		}
		return os.WriteFile(p, b, mode)
	})
}

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	s := memory.New()
	dir := t.TempDir()
	helper := filepath.Join(dir, "helper")
	cmd := exec.Command("go", "build", "-o", helper, "../executortest/testdata/helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, _ := os.ReadFile(helper)
	d, _ := s.Put(ctx, b)
	bl := tree.NewBuilder()
	bl.File("/bin/helper", d, true)
	root, _ := bl.Build(ctx, s)
	vdir := filepath.Join(dir, "views")
	os.Mkdir(vdir, 0o755)
	for _, mode := range []sandbox.Mode{"overlay", "tmpfs", "copy", ""} {
		sb, err := sandbox.New(sandbox.Config{Store: s, Views: &plainViews{store: s, dir: vdir}, TempDir: filepath.Join(dir, "tmp"), Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		defer sb.Close()
		a, err := action.New(action.Action{Root: root, Args: []string{"helper", "write", "/out/file", "hello"}, Outputs: []string{"/out/file"}, Platform: platform.Host()}, map[string]string{"PATH": "/bin"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := sb.Execute(ctx, executor.Request{Action: a, Label: "smoke", Log: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if !out.Output.IsZero() {
			text, _ = tree.Text(ctx, s, out.Output)
		}
		t.Logf("%s %+v\n%s", mode, out, text)
	}
}
