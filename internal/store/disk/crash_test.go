package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

// TestMain lets the test program run itself as another hewn: a process that writes until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HEWN_TEST_WRITER"); dir != "" {
		if err := writer(dir, os.Getenv("HEWN_TEST_SEED")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// stepResult is what step i of a pretended build gives: a directory with a small, a larger and an executable file.
func stepResult(s *disk.Store, i int) (tree.Tree, error) {
	ctx := uncancelled()
	small := fmt.Appendf(nil, "small %d", i)
	d1, err := s.Put(ctx, small)
	if err != nil {
		return tree.Tree{}, err
	}
	d2, err := s.Ingest(ctx, bytes.NewReader(storetest.Content(uint64(i), 6000+i%5000)))
	if err != nil {
		return tree.Tree{}, err
	}
	dir, remove, err := s.TempDir(ctx, "step")
	if err != nil {
		return tree.Tree{}, err
	}
	defer remove()
	name := filepath.Join(dir, "x")
	if err := os.WriteFile(name, storetest.Content(uint64(i)+1<<20, 9000), 0o755); err != nil {
		return tree.Tree{}, err
	}
	d3, err := s.IngestFile(ctx, name)
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	_ = b.File("a/small", d1, false)
	_ = b.File("a/large", d2, false)
	_ = b.File(fmt.Sprintf("b%d/x", i), d3, true)
	return b.Build(ctx, s)
}

func stepKey(i int) store.Key { return store.KeyOf(digest.Of(fmt.Appendf(nil, "step %d", i))) }

// writer works through steps in an order of its own, and says on stdout which it has recorded.
func writer(dir, seed string) error {
	var n uint64
	_, _ = fmt.Sscan(seed, &n)
	r := rand.New(rand.NewPCG(n, 1))
	s, err := disk.Open(dir)
	if err != nil {
		return err
	}
	for {
		i := r.IntN(4000)
		if _, err := s.Result(uncancelled(), stepKey(i)); err == nil {
			continue
		}
		t, err := stepResult(s, i)
		if err != nil {
			return err
		}
		if err := s.Record(uncancelled(), stepKey(i), store.Result{Output: t}); err != nil {
			return err
		}
		fmt.Println(i)
		if i%7 == 0 {
			path, release, err := s.View(uncancelled(), t)
			if err != nil {
				return err
			}
			if _, err := os.Stat(path); err != nil {
				return err
			}
			release()
			if err := s.SaveRecord(fmt.Sprint("r", i), storetest.Content(uint64(i), 500)); err != nil {
				return err
			}
		}
	}
}

func start(t *testing.T, dir string, seed int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "HEWN_TEST_WRITER="+dir, fmt.Sprint("HEWN_TEST_SEED=", seed))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestKill kills two processes that write to one store, at random moments, again and again. Whatever they said they had
// recorded must be there, whole, and nothing may be there that is not whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 6))
	recorded := map[int]bool{}
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		a, outA := start(t, dir, 2*round)
		b, outB := start(t, dir, 2*round+1)
		time.Sleep(time.Duration(30+r.IntN(150)) * time.Millisecond)
		for _, c := range []*exec.Cmd{a, b} {
			_ = c.Process.Kill()
			err := c.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Exited() {
				t.Fatalf("the writer ended by itself: %v", err)
			}
		}
		for line := range strings.Lines(outA.String() + outB.String()) {
			var i int
			if strings.HasSuffix(line, "\n") {
				_, _ = fmt.Sscan(line, &i)
				recorded[i] = true
			}
		}
	}
	if len(recorded) < rounds {
		t.Fatalf("only %d steps were recorded: nothing was tested", len(recorded))
	}
	checkStore(t, dir, recorded)
	left, err := os.ReadDir(filepath.Join(dir, "v1", "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("%d leftovers in tmp, %v", len(left), err)
	}
}

func checkStore(t *testing.T, dir string, recorded map[int]bool) {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 4000 {
		res, err := s.Result(t.Context(), stepKey(i))
		if err != nil {
			if recorded[i] {
				t.Errorf("step %d was recorded and is gone: %v", i, err)
			}
			continue
		}
		err = tree.Walk(t.Context(), s, res.Output, func(p string, e tree.Entry) error {
			if e.Kind != tree.KindFile {
				return nil
			}
			in, err := s.Open(t.Context(), e.Digest)
			if err != nil {
				return err
			}
			defer in.Close()
			_, err = io.Copy(io.Discard, in)
			return err
		})
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
		if i%7 == 0 {
			path, release, err := s.View(t.Context(), res.Output)
			if err != nil {
				t.Fatal(err)
			}
			mustHold(t, s, path, res.Output)
			release()
		}
		if b, ok := s.LoadRecord(fmt.Sprint("r", i)); ok && !bytes.Equal(b, storetest.Content(uint64(i), 500)) {
			t.Errorf("record %d is not whole", i)
		}
	}
}

// TestTwoProcesses sees that a process finds what another one wrote after both had opened the store.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for i := range 50 {
		w, r := a, b
		if i%2 == 1 {
			w, r = b, a
		}
		tr, err := stepResult(w, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Record(t.Context(), stepKey(i), store.Result{Output: tr}); err != nil {
			t.Fatal(err)
		}
		got, err := r.Result(t.Context(), stepKey(i))
		if err != nil || got.Output != tr {
			t.Fatalf("step %d: %v %v", i, got, err)
		}
		missing, err := store.MissingOf(t.Context(), r, tr, nil)
		if err != nil || len(missing) != 0 {
			t.Fatalf("step %d: %v %v", i, missing, err)
		}
	}
}
