package oci

import (
	"testing"

	v1layout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

// Another implementation agrees with digests, sizes, platforms and types; of gzip also with the DiffIDs, since it takes
// every layer for gzip when it reads one.
func TestAnotherReaderAgrees(t *testing.T) {
	for _, compression := range []string{"zstd", "gzip", "none"} {
		w, i := newWorld(t), image()
		i.Compression = compression
		single := w.image(t, i, amd64)
		joined, err := Join(t.Context(), w.Store, single, w.image(t, i, platform.Platform{OS: "linux", Arch: "arm64", Libc: "glibc"}))
		if err != nil {
			t.Fatal(err)
		}
		for name, layout := range map[string]tree.Tree{"one platform": single, "two platforms": joined} {
			at := t.TempDir()
			plan, err := tree.PlanCheckout(t.Context(), w.Store, tree.Tree{}, layout, at)
			if err == nil {
				err = plan.Apply(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := v1layout.FromPath(at)
			if err != nil {
				t.Fatal(err)
			}
			index, err := p.ImageIndex()
			if err == nil && compression == "gzip" {
				err = validate.Index(index)
			} else if err == nil {
				err = validate.Index(index, validate.Fast)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", compression, name, err)
			}
		}
	}
}
