package index

import (
	"testing"

	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/pyindex"
)

func FuzzFileMetadata(f *testing.F) {
	for _, name := range []string{"a-1.0.tar.gz", "a-1.0.zip", "a-1.0-py3-none-any.whl"} {
		f.Add(pyindex.Pack(name, nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"a-1.0.tar.gz", "a-1.0.zip", "a-1.0-py3-none-any.whl"} {
			fuzzing.Bounded(t, len(raw), func() {
				_, _ = FileMetadata(t.Context(), name, raw) // an error, but nothing worse
			})
		}
	})
}
