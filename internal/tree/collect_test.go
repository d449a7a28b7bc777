package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// hashSink keeps directories and no contents.
type hashSink struct{ *memDirs }

func (hashSink) Put(_ context.Context, b []byte) (digest.Digest, error) { return digest.Of(b), nil }
func (hashSink) Ingest(_ context.Context, r io.Reader) (digest.Digest, error) {
	w := digest.NewWriter()
	_, err := io.Copy(w, r)
	return w.Digest(), err
}

// takingSink takes files away.
type takingSink struct {
	hashSink
	t *testing.T
}

func (s takingSink) IngestFile(ctx context.Context, path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, _ := s.Ingest(ctx, f)
	return d, os.Remove(path)
}

func write(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		p, content, isFile := strings.Cut(l, "=")
		lp, target, isLink := strings.Cut(l, "->")
		var err error
		switch {
		case isLink:
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, lp)), 0o755)
			err = errors.Join(err, os.Symlink(target, filepath.Join(dir, lp)))
		case isFile:
			p, exec := strings.CutSuffix(p, "*")
			mode := os.FileMode(0o600)
			if exec {
				mode = 0o711
			}
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o755)
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, p), []byte(content), mode))
		default:
			err = os.MkdirAll(filepath.Join(dir, l), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	lines := []string{"a/x*=1", "a/y=2", "l->a/none", "void/", "z=", "a.b=3"}
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("many/d%d/f%d=%d", i%7, i, i))
	}
	write(t, dir, lines...)
	sink := takingSink{hashSink{newDirs()}, t}
	got, err := tree.Collect(ctx, dir, sink)
	if err != nil {
		t.Fatal(err)
	}
	want(t, sink, got, lines...)

	got, err = tree.Collect(ctx, dir, sink, tree.CollectOptions{Ignore: func(p string, isDir bool) bool {
		return p == "many" && isDir || p == "a/y"
	}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, sink, got, "a/x*=1", "l->a/none", "void/", "z=", "a.b=3")
	e, err := tree.CollectFile(ctx, filepath.Join(dir, "a/x"), sink)
	if err != nil || e.Digest != digest.Of([]byte("1")) || !e.Executable {
		t.Errorf("one file: %+v %v", e, err)
	}
	got, err = tree.Collect(ctx, dir, sink, tree.CollectOptions{Move: true})
	if err != nil {
		t.Fatal(err)
	}
	want(t, sink, got, lines...)
	if _, err := os.Stat(filepath.Join(dir, "a/x")); err == nil {
		t.Error("the file was not taken away")
	}
}

func TestCollectRefuses(t *testing.T) {
	for _, name := range []string{"pipe", "latin1-\xe9"} {
		dir := t.TempDir()
		p := filepath.Join(dir, "sub", name)
		if err := os.Mkdir(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if name == "pipe" {
			err = syscall.Mkfifo(p, 0o644)
		} else {
			err = os.WriteFile(p, nil, 0o644)
		}
		if err != nil {
			t.Skip(err)
		}
		_, err = tree.Collect(ctx, dir, hashSink{newDirs()})
		var bad *tree.UnsupportedFileError
		if !errors.As(err, &bad) || bad.Path != p {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := tree.Collect(ctx, filepath.Join(t.TempDir(), "none"), hashSink{newDirs()}); err == nil {
		t.Error("a directory that does not exist was collected")
	}
}
