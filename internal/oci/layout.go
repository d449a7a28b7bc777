package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Store is where images are read from and written to.
type Store interface {
	store.Blobs
	tree.Dirs
}

// Layout is an image layout in a store: what its index.json names, read and checked.
type Layout struct {
	// Top is a manifest, or an image index where there are several platforms. A layout from elsewhere may name several
	// manifests in its index.json; that file then is the index.
	Top    v1.Descriptor
	Index  []byte  // the bytes of the image index, where Top is one
	Images []Image // one a platform, in the order of the index
}

// Image is the image of one platform.
type Image struct {
	Desc     v1.Descriptor // of the manifest; Platform is set
	Raw      []byte        // the manifest's bytes
	Manifest *v1.Manifest
	Config   *v1.ConfigFile
}

// The files of a layout.
const (
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	describeFile = "hewn-image.json"
	blobsDir     = "blobs/sha256"
)

// The limits of what is read of a layout, whoever made it.
const (
	maxDocument  = 4 << 20  // a manifest, index or configuration: what registries take
	maxDocuments = 64 << 20 // all of them together
	maxIndexes   = 4        // an index in an index in ...
	maxImages    = 1000     // named by all indexes together
)

const layoutVersion = "1.0.0"

// BlobDigest is where the store has what a descriptor names: images use the same SHA-256.
func BlobDigest(d v1.Descriptor) (digest.Digest, error) { return blobOf(d.Digest.String(), d.Size) }

// blobOf is the blob called `sha256:<hex>`.
func blobOf(name string, size int64) (digest.Digest, error) {
	hex, ok := strings.CutPrefix(name, "sha256:")
	if !ok {
		return digest.Digest{}, fmt.Errorf("the digest `%s` is not SHA-256", name)
	}
	return digest.FromHex(hex, size)
}

// badLayout says what is wrong with a file of a layout.
func badLayout(file, format string, args ...any) *diag.Problem {
	return diag.Inputf("image-layout", format, args...).At(diag.Position{File: file})
}

// Open reads and checks the layout in a tree, whoever made it: that all it names is there, with the size and digest that
// it is said to have, and that configurations fit their manifests. Layers are not read; the store checks their bytes when
// somebody does. Of an index, what is no image (the attestations that some builders add) is left out.
func Open(ctx context.Context, st Store, layout tree.Tree) (*Layout, error) {
	r := opener{st: st, layout: layout, left: maxDocuments}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	raw, err := r.file(ctx, indexFile)
	if err != nil {
		return nil, err
	}
	index, err := parseIndex(indexFile, raw, types.OCIImageIndex)
	if err != nil {
		return nil, err
	}
	l := &Layout{Index: raw, Top: v1.Descriptor{MediaType: types.OCIImageIndex, Size: int64(len(raw)),
		Digest: v1.Hash{Algorithm: "sha256", Hex: digest.Of(raw).Hex()}}}
	if len(index.Manifests) == 1 {
		if l.Top = index.Manifests[0]; l.Top.MediaType.IsIndex() {
			l.Index, err = r.blob(ctx, indexFile, l.Top)
		} else {
			l.Index = nil
		}
	}
	if err == nil {
		err = r.index(ctx, indexFile, index, maxIndexes)
	}
	if err == nil && len(r.images) == 0 {
		err = badLayout(indexFile, "the layout has no image")
	}
	l.Images = r.images
	if err != nil {
		return nil, err
	}
	if l.Index == nil {
		l.Top = l.Images[0].Desc
	}
	return l, nil
}

// opener reads one layout.
type opener struct {
	st     Store
	layout tree.Tree
	blobs  *tree.Directory // blobs/sha256
	left   int64           // how many bytes may still be read
	named  int             // how many manifests were named so far
	images []Image
}

// start looks whether the tree is a layout at all.
func (r *opener) start(ctx context.Context) error {
	raw, err := r.file(ctx, layoutFile)
	if err != nil {
		return err
	}
	var doc struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return badLayout(layoutFile, "the file is malformed").Because(err)
	}
	if doc.Version != layoutVersion {
		return badLayout(layoutFile, "the layout has version %q, and hewn reads %s", doc.Version, layoutVersion)
	}
	r.blobs, err = directory(ctx, r.st, r.layout, blobsDir)
	if errors.Is(err, tree.ErrNotExist) {
		return badLayout(blobsDir, "the layout has no blobs")
	}
	return err
}

// file reads a file at the top of the layout.
func (r *opener) file(ctx context.Context, name string) ([]byte, error) {
	e, err := tree.Lookup(ctx, r.st, r.layout, name)
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindFile {
		return nil, badLayout(name, "there is no such file: this is no image layout")
	}
	if err != nil {
		return nil, err
	}
	return r.read(ctx, name, e.Digest)
}

// read reads a document.
func (r *opener) read(ctx context.Context, name string, d digest.Digest) ([]byte, error) {
	if d.Size() > maxDocument {
		return nil, badLayout(name, "the file has %d bytes, and at most %d are read", d.Size(), maxDocument)
	}
	if r.left -= d.Size(); r.left < 0 {
		return nil, badLayout(name, "the manifests of the layout have more than %d bytes together", maxDocuments)
	}
	b, err := store.ReadBlob(ctx, r.st, d, maxDocument)
	if err == nil && digest.Of(b) != d {
		err = badLayout(name, "the bytes in the store are not those of the digest")
	}
	return b, err
}

// entry finds what a descriptor in the file from names.
func (r *opener) entry(from string, desc v1.Descriptor) (name string, d digest.Digest, err error) {
	d, err = BlobDigest(desc)
	if err != nil {
		return "", d, badLayout(from, "what the file names cannot be found").Because(err)
	}
	name = blobsDir + "/" + d.Hex()
	e, ok := r.blobs.Entry(d.Hex())
	switch {
	case !ok || e.Kind != tree.KindFile:
		err = badLayout(name, "the file is missing, and `%s` names it", from)
	case e.Digest.Hex() != d.Hex():
		err = badLayout(name, "the bytes have the digest sha256:%s, not that of the name", e.Digest.Hex())
	case e.Digest != d:
		err = badLayout(name, "the file has %d bytes, and `%s` says %d", e.Digest.Size(), from, d.Size())
	}
	return name, d, err
}

// blob reads the document that a descriptor in the file from names.
func (r *opener) blob(ctx context.Context, from string, desc v1.Descriptor) ([]byte, error) {
	name, d, err := r.entry(from, desc)
	if err != nil {
		return nil, err
	}
	return r.read(ctx, name, d)
}

func parseIndex(file string, raw []byte, t types.MediaType) (*v1.IndexManifest, error) {
	var m v1.IndexManifest
	if err := parse(file, raw, &m); err != nil {
		return nil, err
	}
	return &m, checkDocument(file, m.SchemaVersion, m.MediaType, t)
}

func parse(file string, raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return badLayout(file, "the file is malformed").Because(err)
	}
	return nil
}

// checkDocument compares what a manifest or index says of itself with the type in the descriptor.
func checkDocument(file string, version int64, says, want types.MediaType) error {
	if version != 2 {
		return badLayout(file, "the file has schema version %d, and hewn reads 2", version)
	}
	if says != "" && says != want {
		return badLayout(file, "the file says that it is `%s`, and it was named as `%s`", says, want)
	}
	return nil
}

// index reads all images that an index names.
func (r *opener) index(ctx context.Context, file string, index *v1.IndexManifest, depth int) error {
	if r.named += len(index.Manifests); r.named > maxImages {
		return badLayout(file, "the layout names more than %d manifests", maxImages)
	}
	for _, desc := range index.Manifests {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		var err error
		switch {
		case desc.MediaType.IsIndex():
			err = r.nested(ctx, file, desc, depth-1)
		case !desc.MediaType.IsImage():
			err = badLayout(file, "`%s` is the type of neither a manifest nor an index", desc.MediaType)
		case !isAttestation(desc):
			err = r.image(ctx, file, desc)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *opener) nested(ctx context.Context, from string, desc v1.Descriptor, depth int) error {
	if depth == 0 {
		return badLayout(from, "indexes lie in one another, more than %d deep", maxIndexes)
	}
	raw, err := r.blob(ctx, from, desc)
	if err != nil {
		return err
	}
	file := blobsDir + "/" + desc.Digest.Hex
	index, err := parseIndex(file, raw, desc.MediaType)
	if err != nil {
		return err
	}
	return r.index(ctx, file, index, depth)
}

// isAttestation says that a descriptor names a statement about an image, in the form in which builders hide them from
// container engines.
func isAttestation(desc v1.Descriptor) bool {
	return desc.Platform != nil && desc.Platform.OS == "unknown" && desc.Platform.Architecture == "unknown"
}

// image reads and checks the image of one platform.
func (r *opener) image(ctx context.Context, from string, desc v1.Descriptor) error {
	for _, i := range r.images {
		if i.Desc.Digest == desc.Digest && i.Desc.Size == desc.Size {
			return nil // one image under two names
		}
	}
	i := Image{Desc: desc, Manifest: &v1.Manifest{}, Config: &v1.ConfigFile{}}
	var err error
	if i.Raw, err = r.blob(ctx, from, desc); err != nil {
		return err
	}
	file := blobsDir + "/" + desc.Digest.Hex
	if err := parse(file, i.Raw, i.Manifest); err != nil {
		return err
	}
	m := i.Manifest
	if err := checkDocument(file, m.SchemaVersion, m.MediaType, desc.MediaType); err != nil {
		return err
	}
	if !m.Config.MediaType.IsConfig() {
		return badLayout(file, "the configuration is of the type `%s`: this is no image", m.Config.MediaType)
	}
	raw, err := r.blob(ctx, file, m.Config)
	if err != nil {
		return err
	}
	config := blobsDir + "/" + m.Config.Digest.Hex
	if err := parse(config, raw, i.Config); err != nil {
		return err
	}
	if n, want := len(i.Config.RootFS.DiffIDs), len(m.Layers); n != want {
		return badLayout(config, "the configuration has %d layers, the manifest %d", n, want)
	}
	for _, l := range m.Layers {
		if _, _, err := r.entry(file, l); err != nil {
			return err
		}
	}
	if i.Desc.Platform, err = platformOf(config, desc, i.Config); err != nil {
		return err
	}
	return r.add(from, i)
}

// platformOf is the platform that the index says, or else the configuration; they must not contradict each other.
func platformOf(file string, desc v1.Descriptor, c *v1.ConfigFile) (*v1.Platform, error) {
	if c.OS == "" || c.Architecture == "" {
		return nil, badLayout(file, "the configuration does not say what the image runs on")
	}
	if desc.Platform == nil || desc.Platform.OS == "" {
		return c.Platform(), nil
	}
	if desc.Platform.OS != c.OS || desc.Platform.Architecture != c.Architecture {
		return nil, badLayout(file, "the configuration is for %s, the index says %s", c.Platform(), desc.Platform)
	}
	return desc.Platform, nil
}

// add keeps an image; that there are two for one platform is an error.
func (r *opener) add(from string, i Image) error {
	for _, o := range r.images {
		if o.Desc.Platform.String() == i.Desc.Platform.String() {
			return badLayout(from, "the layout has two images for %s: %s and %s", i.Desc.Platform, nameOf(o), nameOf(i)).
				Hint("copy the one that you mean to a layout of its own")
		}
	}
	r.images = append(r.images, i)
	return nil
}

// nameOf is what people call an image of a layout: its tag, or else its digest.
func nameOf(i Image) string {
	if tag := i.Desc.Annotations["org.opencontainers.image.ref.name"]; tag != "" {
		return "`" + tag + "`"
	}
	return i.Desc.Digest.String()
}
