package export_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/image/export"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
)

// tarOf is a layer with one file.
func tarOf(t testing.TB, name string, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	w.Write(bytes.Repeat([]byte(name)[:1], size))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pack(t testing.TB, b []byte, m types.MediaType) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch m {
	case types.OCILayerZStd:
		w, _ = zstd.NewWriter(&out)
	case types.OCILayer:
		w = gzip.NewWriter(&out)
	default:
		return b
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// put stores a blob and describes it.
func put(t testing.TB, st store.Blobs, m types.MediaType, b []byte) v1.Descriptor {
	t.Helper()
	d, err := st.Put(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return v1.Descriptor{MediaType: m, Size: int64(len(b)), Digest: v1.Hash{Algorithm: "sha256", Hex: d.Hex()}}
}

// image makes an image of one platform of these layers; each is compressed in another way.
func image(t testing.TB, st store.Blobs, arch string, layers ...[]byte) oci.Image {
	t.Helper()
	config := &v1.ConfigFile{Architecture: arch, OS: "linux", RootFS: v1.RootFS{Type: "layers"}}
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for i, l := range layers {
		kind := []types.MediaType{types.OCILayerZStd, types.OCILayer, types.OCIUncompressedLayer}[i%3]
		m.Layers = append(m.Layers, put(t, st, kind, pack(t, l, kind)))
		sum := sha256.Sum256(l)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])})
	}
	m.Config = put(t, st, types.OCIConfigJSON, encode(t, config))
	raw := encode(t, m)
	desc := put(t, st, types.OCIManifestSchema1, raw)
	desc.Platform = &v1.Platform{OS: "linux", Architecture: arch}
	return oci.Image{Desc: desc, Raw: raw, Manifest: m, Config: config}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func single(t testing.TB, st store.Blobs, layers ...[]byte) export.Image {
	i := image(t, st, "amd64", layers...)
	return export.Image{Layout: &oci.Layout{Top: i.Desc, Images: []oci.Image{i}}, Blobs: st, Names: []string{"hewn/app:1.0"}}
}

func three(t testing.TB) [][]byte {
	return [][]byte{tarOf(t, "system", 100_000), tarOf(t, "BZhpython", 20_000), tarOf(t, "BZhapp", 3_000)}
}

func several(t testing.TB, st store.Blobs) export.Image {
	a, b := image(t, st, "amd64", three(t)...), image(t, st, "arm64", three(t)[:1]...)
	raw := encode(t, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{a.Desc, b.Desc}})
	top := v1.Descriptor{MediaType: types.OCIImageIndex, Size: int64(len(raw)), Digest: v1.Hash{Algorithm: "sha256", Hex: digest.Of(raw).Hex()}}
	return export.Image{Layout: &oci.Layout{Top: top, Index: raw, Images: []oci.Image{a, b}}, Blobs: st, Names: []string{"app:1.0", "app:latest"}}
}

// files gives what a directory has, by path.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// untar gives what an archive has, and checks what must be the same in each header.
func untar(t testing.TB, r io.Reader) (names []string, content map[string]string) {
	t.Helper()
	content = map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return names, content
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 315532800 || h.Format != tar.FormatUSTAR {
			t.Errorf("%s: %+v", h.Name, h)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Typeflag == tar.TypeReg {
			content[h.Name] = string(b)
		}
	}
}

// checkLayout wants every blob to have its digest as its name, and index.json to name the image.
func checkLayout(t *testing.T, got map[string]string, img export.Image, blobs int) {
	t.Helper()
	if got["oci-layout"] != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %s", got["oci-layout"])
	}
	n := 0
	for name, content := range got {
		if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			n++
			if digest.Of([]byte(content)).Hex() != hex {
				t.Errorf("%s has other bytes", name)
			}
		}
	}
	if n != blobs || len(got) != blobs+2 {
		t.Errorf("%d blobs in %d files, want %d", n, len(got), blobs)
	}
	var m v1.IndexManifest
	if err := json.Unmarshal([]byte(got["index.json"]), &m); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range m.Manifests {
		if d.Digest != img.Layout.Top.Digest || d.MediaType != img.Layout.Top.MediaType {
			t.Errorf("index.json names %v", d)
		}
		names = append(names, d.Annotations["org.opencontainers.image.ref.name"])
	}
	if !slices.Equal(names, img.Names) {
		t.Errorf("names %q, want %q", names, img.Names)
	}
}

func TestOCIDir(t *testing.T) {
	st := memory.New()
	dir := filepath.Join(t.TempDir(), "a", "layout")
	img := single(t, st, three(t)...)
	s, err := export.OCIDir(t.Context(), img, dir)
	if err != nil {
		t.Fatal(err)
	}
	checkLayout(t, files(t, dir), img, 5)
	if s.Blobs != 5 || s.Written != 5 || s.Digest != img.Layout.Top.Digest.String() {
		t.Errorf("%+v", s)
	}
	if s, err = export.OCIDir(t.Context(), img, dir); err != nil || s.Written != 0 || s.Bytes != 0 {
		t.Errorf("again: %+v, %v", s, err)
	}
	// A broken blob of the right size is written anew, and what an interrupted run left goes.
	first := filepath.Join(dir, "blobs/sha256", img.Layout.Images[0].Manifest.Layers[0].Digest.Hex)
	b, _ := os.ReadFile(first)
	b[0]++
	os.WriteFile(first, b, 0o644)
	os.WriteFile(filepath.Join(dir, "blobs/sha256/.hewn-123"), b, 0o600)
	if s, err = export.OCIDir(t.Context(), img, dir); err != nil || s.Written != 1 {
		t.Errorf("with a broken blob: %+v, %v", s, err)
	}
	checkLayout(t, files(t, dir), img, 5)
	// One layer of another image is new, and that of the old one goes.
	next := single(t, st, append(three(t)[:2], tarOf(t, "newapp", 4000))...)
	if s, err = export.OCIDir(t.Context(), next, dir); err != nil || s.Written != 3 {
		t.Errorf("an update: %+v, %v", s, err)
	}
	checkLayout(t, files(t, dir), next, 5)
	index := several(t, st)
	if _, err = export.OCIDir(t.Context(), index, dir); err != nil {
		t.Error(err)
	}
	checkLayout(t, files(t, dir), index, 8)
}

func TestOCIDirOfOthers(t *testing.T) {
	st := memory.New()
	img := single(t, st, three(t)...)
	for name, there := range map[string]map[string]string{
		"files":          {"notes.txt": "mine"},
		"another layout": {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[]}`},
		"a broken index": {"index.json": `{`},
	} {
		dir := t.TempDir()
		for f, text := range there {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := export.OCIDir(t.Context(), img, dir)
		wantProblem(t, name, err, diag.BadInput, "output-not-ours")
		if got := files(t, dir); len(got) != len(there) {
			t.Errorf("%s: the directory has %v now", name, got)
		}
	}
	file := filepath.Join(t.TempDir(), "f")
	os.WriteFile(file, nil, 0o644)
	if _, err := export.OCIDir(t.Context(), img, file); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func wantProblem(t *testing.T, name string, err error, kind diag.Kind, code string) {
	t.Helper()
	var p *diag.Problem
	if !errors.As(err, &p) || p.Kind != kind || p.Code != code || len(p.Hints) == 0 {
		t.Errorf("%s: want %s with a hint, got %v", name, code, err)
	}
}

// breaking fails to give one blob, or gives other bytes.
type breaking struct {
	store.Blobs
	broken digest.Digest
	err    error
}

func (b breaking) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	if d != b.broken {
		return b.Blobs.Open(ctx, d)
	}
	if b.err != nil {
		return nil, b.err
	}
	return io.NopCloser(strings.NewReader(strings.Repeat("x", int(d.Size())))), nil
}

// TestFailures: what was complete stays what it was, and nothing else is left behind.
func TestFailures(t *testing.T) {
	st := memory.New()
	old, img := single(t, st, three(t)[:1]...), single(t, st, three(t)...)
	broken, err := oci.BlobDigest(img.Layout.Images[0].Manifest.Layers[2])
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, write := range map[string]func(context.Context, export.Image, string) (export.Summary, error){
		"dir": export.OCIDir, "oci-archive": export.OCIArchive, "docker-archive": export.DockerArchive,
	} {
		dir := t.TempDir()
		dest := filepath.Join(dir, "out")
		if _, err := write(t.Context(), old, dest); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		for what, c := range map[string]struct {
			ctx   context.Context
			blobs store.Blobs
		}{
			"missing blob": {t.Context(), breaking{st, broken, store.ErrNotFound}},
			"other bytes":  {t.Context(), breaking{st, broken, nil}},
			"stopped":      {stopped, st},
		} {
			img.Blobs = c.blobs
			if _, err := write(c.ctx, img, dest); err == nil {
				t.Errorf("%s, %s: no error", name, what)
			}
			after := files(t, dir)
			for f, text := range before {
				if after[f] != text {
					t.Errorf("%s, %s: %s is gone or changed", name, what, f)
				}
			}
			for f := range after {
				if strings.Contains(f, ".hewn-") || name != "dir" && len(after) != 1 {
					t.Errorf("%s, %s: %s was left", name, what, f)
				}
			}
		}
		img.Blobs = st
		if _, err := write(t.Context(), img, dest); err != nil {
			t.Errorf("%s: after failures: %v", name, err)
		}
	}
}

func TestOCIArchive(t *testing.T) {
	st := memory.New()
	img := several(t, st)
	file := filepath.Join(t.TempDir(), "image.tar")
	s, err := export.OCIArchive(t.Context(), img, file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Bytes != int64(len(b)) || s.Blobs != 8 {
		t.Errorf("%+v for a file of %d bytes", s, len(b))
	}
	names, content := untar(t, bytes.NewReader(b))
	checkLayout(t, content, img, 8)
	if want := []string{"oci-layout", "index.json", "blobs/", "blobs/sha256/"}; !slices.Equal(names[:4], want) || !slices.IsSorted(names[4:]) {
		t.Errorf("order %q", names)
	}
	var again bytes.Buffer
	if _, err := export.WriteOCIArchive(t.Context(), img, &again); err != nil || !bytes.Equal(again.Bytes(), b) {
		t.Errorf("the second archive differs: %v", err)
	}
	_, err = export.OCIArchive(t.Context(), img, t.TempDir())
	wantProblem(t, "a directory", err, diag.BadInput, "output-not-ours")
}

func TestDockerArchive(t *testing.T) {
	st := memory.New()
	layers := append(three(t), three(t)[0])
	img := single(t, st, layers...)
	img.Names = []string{"hewn/app:1.0", "registry.example:5000/app"}
	file := filepath.Join(t.TempDir(), "image.tar")
	if _, err := export.DockerArchive(t.Context(), img, file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names, content := untar(t, bytes.NewReader(b))
	if len(names) != 5 || names[0] != "manifest.json" {
		t.Errorf("files %q", names)
	}
	var m []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(content["manifest.json"]), &m); err != nil || len(m) != 1 || len(m[0].Layers) != 4 {
		t.Fatalf("%s: %v", content["manifest.json"], err)
	}
	if want := []string{"hewn/app:1.0", "registry.example:5000/app:latest"}; !slices.Equal(m[0].RepoTags, want) {
		t.Errorf("names %q", m[0].RepoTags)
	}
	for i, l := range m[0].Layers {
		if content[l] != string(layers[i]) {
			t.Errorf("layer %d is not what it was made of", i)
		}
	}
	if content[m[0].Config] != string(encode(t, img.Layout.Images[0].Config)) {
		t.Errorf("the configuration is %s", content[m[0].Config])
	}
	var again bytes.Buffer
	if _, err := export.WriteDockerArchive(t.Context(), img, &again); err != nil || !bytes.Equal(again.Bytes(), b) {
		t.Errorf("the second archive differs: %v", err)
	}
}

func TestDockerArchiveRefuses(t *testing.T) {
	st := memory.New()
	_, err := export.DockerArchive(t.Context(), several(t, st), filepath.Join(t.TempDir(), "x"))
	wantProblem(t, "two platforms", err, diag.BadInput, "several-platforms")
	img := single(t, st, three(t)...)
	img.Names = []string{"app@sha256:00"}
	_, err = export.DockerArchive(t.Context(), img, filepath.Join(t.TempDir(), "x"))
	wantProblem(t, "a digest", err, diag.BadInput, "bad-reference")
	img.Names = nil
	img.Layout.Images[0].Config.RootFS.DiffIDs[1].Hex = strings.Repeat("0", 64)
	var out bytes.Buffer
	if _, err := export.WriteDockerArchive(t.Context(), img, &out); err == nil || out.Len() > 0 || !strings.Contains(err.Error(), "the configuration says") {
		t.Errorf("a layer with another DiffID: %v, %d bytes written", err, out.Len())
	}
	img.Layout.Images[0].Config.RootFS.DiffIDs = nil
	if _, err := export.WriteDockerArchive(t.Context(), img, &out); err == nil {
		t.Error("a configuration without layers was taken")
	}
}

func BenchmarkDockerArchive(b *testing.B) {
	st := memory.New()
	var layers [][]byte
	for i := range 4 {
		layers = append(layers, tarOf(b, fmt.Sprint("f", i), 16<<20))
	}
	img := single(b, st, layers...)
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := export.WriteDockerArchive(b.Context(), img, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
