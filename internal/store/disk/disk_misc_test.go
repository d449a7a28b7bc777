package disk_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

func TestIngestFile(t *testing.T) {
	s := open(t, t.TempDir())
	dir, remove, err := s.TempDir(t.Context(), "act/ion")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	for _, n := range []int{0, 100, 4096, 50_000} {
		for _, mode := range []os.FileMode{0o644, 0o755, 0o000, 0o4755} {
			p := filepath.Join(dir, fmt.Sprint(n, mode))
			content := storetest.Content(uint64(n)+uint64(mode), n)
			if err := os.WriteFile(p, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(p, mode); err != nil {
				t.Fatal(err)
			}
			d, err := s.IngestFile(t.Context(), p)
			if err != nil || d != digest.Of(content) {
				t.Errorf("%d bytes, mode %v: %v", n, mode, err)
			}
			if _, err := os.Lstat(p); err == nil {
				t.Errorf("%s is still there", p)
			}
			if got, err := store.ReadBlob(t.Context(), s, d, 1<<20); err != nil || len(got) != n {
				t.Errorf("read back: %v", err)
			}
		}
	}
	// Two names of one inode: taking the inode away would let the other name change the store.
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	content := storetest.Content(9, 9000)
	if err := os.WriteFile(a, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(a, b); err != nil {
		t.Fatal(err)
	}
	d, err := s.IngestFile(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := store.ReadBlob(t.Context(), s, d, 1<<20); err != nil || digest.Of(got) != d {
		t.Errorf("changed through another name: %v", err)
	}
	if _, err := s.IngestFile(t.Context(), dir); err == nil {
		t.Error("a directory was taken")
	}
}

func TestCollectMovesOutputs(t *testing.T) {
	s := open(t, t.TempDir())
	dir, remove, err := s.TempDir(t.Context(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	want := made(t, s, "bin/x*="+string(storetest.Content(3, 20_000)), "lib/a="+string(storetest.Content(4, 5000)), "lib/b=small", "void/", "l->lib")
	view, _, err := s.View(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "root"), os.DirFS(view)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "root/lib"), 0o000); err != nil {
		t.Fatal(err)
	}
	other := open(t, filepath.Join(s.Dir(), "..", "other"))
	got, err := tree.Collect(t.Context(), filepath.Join(dir, "root"), other, tree.CollectOptions{Move: true})
	if err != nil || got != want {
		t.Errorf("%v %v", got, err)
	}
	if left, err := store.MissingOf(t.Context(), other, got, nil); err != nil || len(left) != 0 {
		t.Errorf("missing %v %v", left, err)
	}
}

func TestKV(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, ok := s.LoadTrace("k"); ok {
		t.Error("found what was never saved")
	}
	for _, content := range []string{"one", "", "two\nlines"} {
		for _, key := range []string{"k", "k\nl", ""} {
			if err := s.SaveTrace(key, []byte(content+key)); err != nil {
				t.Fatal(err)
			}
			if got, ok := open(t, dir).LoadTrace(key); !ok || string(got) != content+key {
				t.Errorf("got %q, %v", got, ok)
			}
		}
	}
	if _, ok := s.LoadRecord("k"); ok {
		t.Error("a trace was found as a record")
	}
	log, _ := s.Put(t.Context(), []byte("the log"))
	if err := s.SaveLog("webui", log); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.LoadLog("webui"); !ok || got != log {
		t.Errorf("log: %v %v", got, ok)
	}
	for _, p := range []string{"trace", "log"} {
		f := one(t, filepath.Join(dir, "v1/kv", p, "*/*"))
		if err := os.Truncate(f, 60); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.LoadLog("webui"); ok {
		t.Error("half a file was served")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	stores := []*disk.Store{open(t, dir), open(t, dir)}
	var holders, most atomic.Int32
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 20 {
				unlock, err := stores[g%2].Lock(t.Context(), "the step")
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n > 1 {
					most.Store(n)
				}
				time.Sleep(100 * time.Microsecond)
				holders.Add(-1)
				unlock()
			}
		})
	}
	wg.Wait()
	if most.Load() > 1 {
		t.Errorf("%d held the lock at once", most.Load())
	}
	unlock, err := stores[0].Lock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	if _, err := stores[1].Lock(ctx, "k"); !errors.Is(err, cause) {
		t.Errorf("waiting for a lock: %v", err)
	}
	unlock()
	again, err := stores[1].Lock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	other, err := stores[0].Lock(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	again()
	other()
	if left, err := os.ReadDir(dir + "/v1/locks"); err != nil || len(left) != 1 {
		t.Errorf("%d lock files (%v): keys must not have files of their own", len(left), err)
	}
}

func TestOpenProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(file); err == nil {
		t.Error("a file was opened as a store")
	}
	s := open(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := s.Put(t.Context(), []byte("x")); err == nil {
		t.Error("put after close")
	}
}
