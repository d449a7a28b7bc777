// Package export writes a finished image where other tools read it: a directory or an archive in the OCI image layout, or
// an archive as `docker save` writes it.
//
// What is written is a function of the image and its names alone. Every blob is compared with its digest on the way.
// Whatever was complete at the destination stays until what replaces it is complete: archives are written beside their
// place and renamed, in a directory the file that names everything else is written last. All functions may be called
// from many goroutines.
package export

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/store"
)

// Image is what is written.
type Image struct {
	Layout *oci.Layout
	Blobs  store.Blobs // where everything that Layout names is
	// Names are how other tools will call the image: "authentik:2026.2.0". May be empty.
	Names []string
}

// Summary is what was written.
type Summary struct {
	Digest  string // of the manifest or index, "sha256:…"
	Blobs   int    // files of the layout that hold content
	Written int    // of these, how many were not there yet
	Bytes   int64  // how many bytes were written for them, or for the archive
}

const (
	layoutFile   = "oci-layout"
	layoutText   = `{"imageLayoutVersion":"1.0.0"}`
	indexFile    = "index.json"
	blobsDir     = "blobs/sha256"
	indexType    = "application/vnd.oci.image.index.v1+json"
	nameKey      = "org.opencontainers.image.ref.name"
	ownerKey     = "example.hewn.layout" // in index.json: the directory is ours to change
	ownerText    = "1"
	maxIndexes   = 4       // an index in an index in ...
	maxDocument  = 4 << 20 // a nested index: what registries take
	copyBuffer   = 256 << 10
	blobMode     = fs.FileMode(0o644)
	dirMode      = fs.FileMode(0o755)
	tempPattern  = ".hewn-*"
	tempPrefix   = ".hewn-"
	digestPrefix = "sha256:"
)

// blob is one content of the layout. bytes is set for what need not be read from the store.
type blob struct {
	digest digest.Digest
	bytes  []byte
}

// contents gives all blobs of an image, each once, by digest.
func contents(ctx context.Context, img Image) ([]blob, error) {
	c := collector{img: img, seen: map[digest.Digest]bool{}}
	l := img.Layout
	if len(l.Images) == 0 {
		return nil, fmt.Errorf("the image has no platforms")
	}
	if l.Index != nil {
		if err := c.add(l.Top, l.Index); err != nil {
			return nil, err
		}
		if err := c.nested(ctx, l.Index, maxIndexes); err != nil {
			return nil, err
		}
	}
	for _, i := range l.Images {
		if err := c.add(i.Desc, i.Raw); err != nil {
			return nil, err
		}
		for _, d := range append([]v1.Descriptor{i.Manifest.Config}, i.Manifest.Layers...) {
			if err := c.add(d, nil); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(c.out, func(a, b blob) int { return cmp.Compare(a.digest.Hex(), b.digest.Hex()) })
	return c.out, nil
}

type collector struct {
	img  Image
	seen map[digest.Digest]bool
	out  []blob
}

func (c *collector) add(desc v1.Descriptor, b []byte) error {
	d, err := oci.BlobDigest(desc)
	if err != nil {
		return err
	}
	if b != nil && digest.Of(b) != d {
		return fmt.Errorf("the bytes of %s are those of %s", desc.Digest, digest.Of(b))
	}
	if !c.seen[d] {
		c.seen[d] = true
		c.out = append(c.out, blob{d, b})
	}
	return nil
}

// nested adds the indexes that an index names.
func (c *collector) nested(ctx context.Context, index []byte, depth int) error {
	var m v1.IndexManifest
	if err := json.Unmarshal(index, &m); err != nil {
		return err
	}
	for _, d := range m.Manifests {
		if !d.MediaType.IsIndex() {
			continue
		}
		if depth == 0 {
			return fmt.Errorf("image indexes lie more than %d deep in each other", maxIndexes)
		}
		key, err := oci.BlobDigest(d)
		if err != nil {
			return err
		}
		b, err := store.ReadBlob(ctx, c.img.Blobs, key, maxDocument)
		if err != nil {
			return err
		}
		if err := c.add(d, b); err != nil {
			return err
		}
		if err := c.nested(ctx, b, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// index is the text of index.json: one descriptor for each name of the image, or one without a name.
func index(img Image, annotations map[string]string) ([]byte, error) {
	top := img.Layout.Top
	top.Data, top.URLs = nil, nil
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: indexType, Annotations: annotations}
	names := slices.Compact(slices.Sorted(slices.Values(img.Names)))
	for _, n := range names {
		d := top
		d.Annotations = map[string]string{nameKey: n}
		for k, v := range top.Annotations {
			if k != nameKey {
				d.Annotations[k] = v
			}
		}
		m.Manifests = append(m.Manifests, d)
	}
	if len(names) == 0 {
		m.Manifests = []v1.Descriptor{top}
	}
	return json.Marshal(m)
}

// copyTo writes a blob to w; what the store gives is compared with its digest.
func (img Image) copyTo(ctx context.Context, w io.Writer, b blob) error {
	if b.bytes != nil {
		_, err := w.Write(b.bytes)
		return err
	}
	r, err := img.Blobs.Open(ctx, b.digest)
	if err != nil {
		return err
	}
	defer r.Close()
	h := digest.NewWriter()
	buf := make([]byte, copyBuffer)
	// One byte more than there should be is enough to tell.
	if _, err := io.CopyBuffer(io.MultiWriter(w, h), io.LimitReader(reader{ctx, r}, b.digest.Size()+1), buf); err != nil {
		return err
	}
	if got := h.Digest(); got != b.digest {
		return fmt.Errorf("the store has %s where it should have %s", got, b.digest)
	}
	return nil
}

// reader stops when its context ends. It hides what else r can do, so that copies go through their buffer.
type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// failed says that writing to a destination went wrong. need says how much room it takes, or is empty.
func failed(dest, need string, err error) error {
	var p *diag.Problem
	switch {
	case errors.As(err, &p):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		p := diag.Environmentf("no-room", "no room for the image in `%s`", filepath.Dir(dest)).Because(err).
			Hint("make room, or name another place; what was there before is unchanged")
		if need != "" {
			p = p.With(need)
		}
		return p
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return diag.Environmentf("cannot-write", "cannot write the image to `%s`", dest).Because(err).
			Hint("name a place that you may write to")
	}
	return diag.Failf("export-failed", "cannot write the image to `%s`", dest).Because(err)
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+999_999)/1_000_000) }

// replace writes a file beside its place and puts it there when it is complete.
func replace(path string, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(blobMode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
