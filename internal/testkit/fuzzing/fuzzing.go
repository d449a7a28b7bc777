// Package fuzzing holds what every fuzz target of a reader or unpacker asserts beside its own claims.
package fuzzing

import (
	"path"
	"runtime/metrics"
	"strings"
	"testing"

	"hewn.example/hewn/internal/tree"
)

// Base is what any call may allocate, however short its input is: buffers of decompressors and hash states.
const Base = 64 << 20

// PerByte is how much a reader may allocate for a byte of its input. A line of one character becomes a struct, a string
// and an entry of a map; what takes thousands is a bomb.
const PerByte = 4 << 10

// Bounded calls f and fails where it allocated more than an input of that size may cost.
func Bounded(t *testing.T, size int, f func()) {
	t.Helper()
	Within(t, uint64(Base+size*PerByte), f)
}

// Within calls f and fails where it allocated more than limit.
func Within(t *testing.T, limit uint64, f func()) {
	t.Helper()
	before := allocated()
	f()
	if n := allocated() - before; n > limit {
		t.Errorf("it took %d bytes of memory, the limit is %d", n, limit)
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Inside fails where a path would leave the tree that it is for.
func Inside(t *testing.T, what, p string) {
	t.Helper()
	if clean := path.Clean(p); path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(p, 0) {
		t.Errorf("%s %q leads out of the tree", what, p)
	}
}

// Name fails where a name would not stay one name in its directory.
func Name(t *testing.T, what, name string) {
	t.Helper()
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		t.Errorf("%s %q is not a name in one directory", what, name)
	}
}

// Tree fails where a name of an unpacked tree would lead out of it.
func Tree(t *testing.T, dirs tree.Dirs, tr tree.Tree) {
	t.Helper()
	err := tree.Walk(t.Context(), dirs, tr, func(p string, e tree.Entry) error {
		Inside(t, "path", strings.TrimPrefix(p, "/"))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
