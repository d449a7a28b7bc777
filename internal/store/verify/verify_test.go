package verify_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/store/verify"
	"hewn.example/hewn/internal/tree"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return verify.New(memory.New()) })
}

// liar gives the same wrong bytes for everything.
type liar struct{ *memory.Store }

func (liar) Open(context.Context, digest.Digest) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte("something else entirely"))), nil
}

func (liar) Directory(context.Context, tree.Tree) (*tree.Directory, error) {
	return &tree.Directory{Links: []tree.Link{{Name: "x", Target: "/etc"}}}, nil
}

func TestLies(t *testing.T) {
	s := verify.New(liar{memory.New()})
	for _, content := range []string{"short", "something of the same length and more than it"} {
		r, err := s.Open(t.Context(), digest.Of([]byte(content)))
		if err != nil {
			t.Fatal(err)
		}
		var mismatch *verify.MismatchError
		if got, err := io.ReadAll(r); !errors.As(err, &mismatch) {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if _, err := s.Directory(t.Context(), tree.Empty); err == nil {
		t.Error("a wrong directory was given")
	}
}
