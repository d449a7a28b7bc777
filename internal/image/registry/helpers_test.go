package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/ociregistry"
)

// build makes a layout with the given layers in s: one image, or an index where platforms are given.
type build struct {
	t         testing.TB
	s         *memory.Store
	mediaType types.MediaType
}

func newBuild(t testing.TB) *build {
	return &build{t, memory.New(), types.OCILayer}
}

func (b *build) put(content []byte, mediaType types.MediaType) v1.Descriptor {
	b.t.Helper()
	d, err := b.s.Put(context.Background(), content)
	if err != nil {
		b.t.Fatal(err)
	}
	return v1.Descriptor{MediaType: mediaType, Size: d.Size(), Digest: v1.Hash{Algorithm: "sha256", Hex: d.Hex()}}
}

func (b *build) json(v any, mediaType types.MediaType) ([]byte, v1.Descriptor) {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return raw, b.put(raw, mediaType)
}

func (b *build) image(arch string, layers ...[]byte) oci.Image {
	config := &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"}}
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, l := range layers {
		m.Layers = append(m.Layers, b.put(gzipped(b.t, l), b.mediaType))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: digest.Of(l).Hex()})
	}
	_, m.Config = b.json(config, types.OCIConfigJSON)
	raw, desc := b.json(m, types.OCIManifestSchema1)
	desc.Platform = &v1.Platform{OS: "linux", Architecture: arch}
	return oci.Image{Desc: desc, Raw: raw, Manifest: m, Config: config}
}

func (b *build) layout(layers ...[]byte) *oci.Layout {
	img := b.image("amd64", layers...)
	return &oci.Layout{Top: img.Desc, Images: []oci.Image{img}}
}

func (b *build) index(images ...oci.Image) *oci.Layout {
	x := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, i := range images {
		x.Manifests = append(x.Manifests, i.Desc)
	}
	raw, top := b.json(x, types.OCIImageIndex)
	return &oci.Layout{Top: top, Index: raw, Images: images}
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tarOf is an uncompressed layer with one file of n bytes, which differ with seed.
func tarOf(t testing.TB, seed uint64, n int) []byte {
	t.Helper()
	content := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(content)
	return tarball(t, fmt.Sprintf("file-%d", seed), content)
}

// config pushes to the registry as a test does: without pauses, which it counts instead.
func config(r *ociregistry.Registry) registry.Config {
	return registry.Config{Transport: r.Transport(), Keychain: keys{r.User, r.Password},
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

// keys is a keychain with one user.
type keys struct{ user, password string }

func (k keys) ResolveContext(context.Context, authn.Resource) (authn.Authenticator, error) {
	if k.user == "" {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: k.user, Password: k.password}, nil
}

func push(t testing.TB, c registry.Config, b *build, l *oci.Layout, ref string) registry.Report {
	t.Helper()
	r, err := registry.Push(context.Background(), c, l, b.s, ref)
	if err != nil {
		t.Fatalf("push to %s: %v", ref, err)
	}
	return r
}

// states is what a push did with each blob, in order.
func states(r registry.Report) []registry.State {
	var out []registry.State
	for _, b := range r.Blobs {
		out = append(out, b.State)
	}
	return out
}

// pull reads the image back with ggcr and has it check every digest, size and media type.
func pull(t testing.TB, transport http.RoundTripper, k keys, ref string) v1.Hash {
	t.Helper()
	auth, _ := k.ResolveContext(context.Background(), nil)
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Get(parsed, remote.WithTransport(transport), remote.WithAuth(auth))
	if err != nil {
		t.Fatal(err)
	}
	if d.MediaType.IsIndex() {
		x, err := d.ImageIndex()
		if err == nil {
			err = validate.Index(x)
		}
		if err != nil {
			t.Fatal(err)
		}
		return d.Digest
	}
	img, err := d.Image()
	if err == nil {
		err = validate.Image(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// records is registry.Sessions in memory.
type records map[string][]byte

func (r records) LoadRecord(key string) ([]byte, bool)  { v, ok := r[key]; return v, ok }
func (r records) SaveRecord(key string, v []byte) error { r[key] = v; return nil }
func hexOf(d v1.Descriptor) string                      { return d.Digest.String() }
func mustDigest(t testing.TB, d v1.Descriptor) digest.Digest {
	t.Helper()
	out, err := oci.BlobDigest(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
