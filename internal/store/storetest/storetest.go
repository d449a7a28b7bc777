// Package storetest is what every store must do, as one suite that runs against all of them.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// sizes lie around all the limits at which stores treat blobs otherwise.
var sizes = []int{0, 1, 100, 4095, 4096, 4097, 70_000, 1 << 20}

// Run checks the store that open gives: a fresh, empty one for each call.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Run("blobs", func(t *testing.T) { blobs(t, open(t)) })
	t.Run("missing", func(t *testing.T) { missing(t, open(t)) })
	t.Run("broken ingest", func(t *testing.T) { brokenIngest(t, open(t)) })
	t.Run("directories", func(t *testing.T) { directories(t, open(t)) })
	t.Run("results", func(t *testing.T) { results(t, open(t)) })
	t.Run("at once", func(t *testing.T) { atOnce(t, open(t)) })
}

// Content gives n bytes that are others for each seed.
func Content(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func mustRead(t *testing.T, s store.Store, d digest.Digest, want []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Errorf("open %s: %v", d, err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %s: %d bytes, error %v", d, len(got), err)
	}
}

func blobs(t *testing.T, s store.Store) {
	for i, n := range sizes {
		for _, way := range []string{"put", "ingest"} {
			b := Content(uint64(i), n)
			if way == "ingest" && n > 0 {
				b[0]++
			}
			want := digest.Of(b)
			if n > 0 {
				if _, err := s.Open(t.Context(), want); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("open before %s of %d bytes: %v", way, n, err)
				}
			}
			for range 2 { // the second time it is there already
				var got digest.Digest
				var err error
				if way == "put" {
					got, err = s.Put(t.Context(), b)
				} else {
					got, err = s.Ingest(t.Context(), oneByteFirst{bytes.NewReader(b)})
				}
				if err != nil || got != want {
					t.Fatalf("%s of %d bytes: %v %v", way, n, got, err)
				}
				mustRead(t, s, want, b)
			}
			got, err := store.ReadBlob(t.Context(), s, want, int64(n))
			if err != nil || !bytes.Equal(got, b) {
				t.Errorf("ReadBlob: %v", err)
			}
			var large *store.TooLargeError
			if _, err := store.ReadBlob(t.Context(), s, want, int64(n)-1); !errors.As(err, &large) {
				t.Errorf("ReadBlob over the limit: %v", err)
			}
			// The same hash with another size is another, impossible, blob.
			h := want.Hash()
			other, _ := digest.New(h[:], want.Size()+1)
			if r, err := s.Open(t.Context(), other); err == nil {
				_, err = io.ReadAll(r)
				r.Close()
				if err == nil {
					t.Errorf("a blob was given under a wrong size")
				}
			}
		}
	}
	// What the caller does with its buffer afterwards is none of the store's business.
	b := []byte("before")
	d, err := s.Put(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, "behind")
	mustRead(t, s, d, []byte("before"))
}

// oneByteFirst gives short reads, as networks do.
type oneByteFirst struct{ r io.Reader }

func (o oneByteFirst) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1+len(p)/3]
	}
	return o.r.Read(p)
}

func missing(t *testing.T, s store.Store) {
	var all, want []digest.Digest
	for i := range 60 {
		b := Content(uint64(1000+i), 1+i*300)
		d := digest.Of(b)
		all = append(all, d)
		if i%3 == 0 {
			want = append(want, d)
		} else if _, err := s.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		got, err := s.Missing(t.Context(), all)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("missing: %v, %v", got, err)
		}
	}
	if got, err := s.Missing(t.Context(), []digest.Digest{digest.Empty}); err != nil || len(got) != 0 {
		t.Errorf("the empty blob is missing: %v", err)
	}
	if got, err := s.Missing(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("missing of nothing: %v %v", got, err)
	}
}

func brokenIngest(t *testing.T, s store.Store) {
	broken := errors.New("the line went dead")
	for _, n := range []int{0, 10, 5000, 300_000} {
		b := Content(uint64(n), n)
		_, err := s.Ingest(t.Context(), io.MultiReader(bytes.NewReader(b), failing{broken}))
		if !errors.Is(err, broken) {
			t.Errorf("ingest of a stream that fails after %d bytes: %v", n, err)
		}
		if n == 0 {
			continue
		}
		if left, err := s.Missing(t.Context(), []digest.Digest{digest.Of(b)}); err != nil || len(left) != 1 {
			t.Errorf("what came before the failure at %d bytes became a blob", n)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func directories(t *testing.T, s store.Store) {
	ctx := t.Context()
	if d, err := s.Directory(ctx, tree.Empty); err != nil || len(d.Entries()) != 0 {
		t.Errorf("the empty tree: %v", err)
	}
	if _, err := s.Directory(ctx, tree.Of(digest.Of([]byte("none")))); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a directory that is not there: %v", err)
	}
	d := &tree.Directory{Links: []tree.Link{{Name: "l", Target: "x"}}}
	for i := range 500 { // far over any limit for small blobs
		d.Files = append(d.Files, tree.File{Name: fmt.Sprintf("f%04d", i), Digest: digest.Empty, Executable: i%2 == 0})
	}
	got, err := s.PutDirectory(ctx, d)
	if err != nil || got != tree.Of(digest.Of(d.Encode())) {
		t.Fatalf("put: %v %v", got, err)
	}
	back, err := s.Directory(ctx, got)
	if err != nil || !bytes.Equal(back.Encode(), d.Encode()) {
		t.Errorf("directory came back otherwise: %v", err)
	}
	mustRead(t, s, got.Digest(), d.Encode()) // a directory is a blob as well
	small := &tree.Directory{Dirs: []tree.Dir{{Name: "sub", Tree: got}}}
	dg, err := s.Put(ctx, small.Encode()) // and a blob can be a directory
	if err != nil {
		t.Fatal(err)
	}
	if back, err := s.Directory(ctx, tree.Of(dg)); err != nil || len(back.Dirs) != 1 {
		t.Errorf("a directory that was put as a blob: %v", err)
	}
	if left, err := s.Missing(ctx, []digest.Digest{got.Digest(), dg}); err != nil || len(left) != 0 {
		t.Errorf("directories are missing as blobs: %v %v", left, err)
	}
	if _, err := s.PutDirectory(ctx, &tree.Directory{Dirs: []tree.Dir{{Name: "..", Tree: got}}}); err == nil {
		t.Error("a malformed directory was taken")
	}
	text, _ := s.Put(ctx, []byte("this is no directory"))
	if _, err := s.Directory(ctx, tree.Of(text)); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a text was given as a directory: %v", err)
	}
}

func results(t *testing.T, s store.Store) {
	ctx := t.Context()
	key := store.KeyOf(digest.Of([]byte("a step")))
	if _, err := s.Result(ctx, key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("result before it was recorded: %v", err)
	}
	file, err := s.Put(ctx, Content(7, 5000))
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.PutDirectory(ctx, &tree.Directory{Files: []tree.File{{Name: "f", Digest: file}}})
	if err != nil {
		t.Fatal(err)
	}
	log, _ := s.Put(ctx, []byte("log"))
	want := store.Result{Output: out, Log: log, Seconds: 1.5}
	if err := s.Record(ctx, key, want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Result(ctx, key); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.Open(ctx, key.Digest()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a key was found as a blob: %v", err)
	}
	want.Output, want.Seconds = tree.Empty, 2 // the later one stands
	if err := s.Record(ctx, key, want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Result(ctx, key); err != nil || got != want {
		t.Errorf("after the second record: %+v, %v", got, err)
	}
	lost := store.KeyOf(digest.Of([]byte("another step")))
	if err := s.Record(ctx, lost, store.Result{Output: tree.Of(digest.Of([]byte("never put")))}); err == nil {
		if _, err := s.Result(ctx, lost); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a result without its output was served: %v", err)
		}
	}
}

func atOnce(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				n := uint64(i%40 + g%2*20)
				b := Content(n, int(n)*250)
				d, err := s.Put(ctx, b)
				if g%3 == 0 {
					d, err = s.Ingest(ctx, bytes.NewReader(b))
				}
				if err != nil || d != digest.Of(b) {
					t.Errorf("put: %v", err)
					return
				}
				mustRead(t, s, d, b)
				out, err := s.PutDirectory(ctx, &tree.Directory{Files: []tree.File{{Name: fmt.Sprint(n), Digest: d}}})
				if err != nil {
					t.Error(err)
					return
				}
				k := store.KeyOf(d)
				if err := s.Record(ctx, k, store.Result{Output: out}); err != nil {
					t.Error(err)
				}
				if r, err := s.Result(ctx, k); err != nil || r.Output != out {
					t.Errorf("result: %v %v", r, err)
				}
			}
		})
	}
	wg.Wait()
}
