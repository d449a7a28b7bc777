package oci

import (
	"cmp"
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// writer puts a layout together.
type writer struct {
	st Store
	b  *tree.Builder
}

func newWriter(st Store) writer { return writer{st, tree.NewBuilder()} }

// document keeps a document as a blob of the layout.
func (w writer) document(ctx context.Context, doc any) (digest.Digest, error) {
	raw, err := encodeJSON(doc)
	if err != nil {
		return digest.Digest{}, err
	}
	if len(raw) > maxDocument {
		return digest.Digest{}, diag.Inputf("image-size", "the image's labels, environment and annotations have %d bytes, and registries take %d",
			len(raw), maxDocument)
	}
	d, err := w.st.Put(ctx, raw)
	if err != nil {
		return d, err
	}
	return d, w.blob(d)
}

// blob puts a blob of the store into the layout.
func (w writer) blob(d digest.Digest) error { return w.b.File(blobsDir+"/"+d.Hex(), d, false) }

// file writes a document at the top of the layout.
func (w writer) file(ctx context.Context, name string, doc any) error {
	raw, err := encodeJSON(doc)
	if err != nil {
		return err
	}
	d, err := w.st.Put(ctx, raw)
	if err != nil {
		return err
	}
	return w.b.File(name, d, false)
}

// finish writes the files at the top and gives the layout, whose only entry is top.
func (w writer) finish(ctx context.Context, top descriptor, d Description) (tree.Tree, error) {
	err := w.file(ctx, layoutFile, struct {
		Version string `json:"imageLayoutVersion"`
	}{layoutVersion})
	if err == nil {
		err = w.file(ctx, indexFile, indexDoc{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []descriptor{top}})
	}
	if err == nil && len(d.Platforms) > 0 {
		err = w.file(ctx, describeFile, d)
	}
	if err != nil {
		return tree.Tree{}, err
	}
	return w.b.Build(ctx, w.st)
}

// Join puts layouts of different platforms into one, whose top is an image index, sorted by platform. Annotations that
// all images have alike stand on the index as well. A single layout stays as it is.
func Join(ctx context.Context, st Store, layouts ...tree.Tree) (tree.Tree, error) {
	if len(layouts) == 1 {
		return layouts[0], nil
	}
	var images []Image
	described := map[string]Described{} // by manifest
	for _, t := range layouts {
		l, err := Open(ctx, st, t)
		if err != nil {
			return tree.Tree{}, err
		}
		images = append(images, l.Images...)
		d, err := Describe(ctx, st, t)
		if err != nil && !isForeign(err) {
			return tree.Tree{}, err
		}
		for _, p := range d.Platforms {
			described[p.Manifest] = p
		}
	}
	if len(images) == 0 {
		return tree.Tree{}, diag.Inputf("image-platforms", "there is no image to put into the index")
	}
	slices.SortStableFunc(images, func(a, b Image) int { return cmp.Compare(a.Desc.Platform.String(), b.Desc.Platform.String()) })
	return join(ctx, st, images, described)
}

// join is the layout of images, which are sorted.
func join(ctx context.Context, st Store, images []Image, described map[string]Described) (tree.Tree, error) {
	w := newWriter(st)
	index := indexDoc{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: sharedAnnotations(images)}
	var d Description
	for n, i := range images {
		if n > 0 && images[n-1].Desc.Platform.String() == i.Desc.Platform.String() {
			return tree.Tree{}, diag.Inputf("image-platforms", "there are two images for %s", i.Desc.Platform).
				Hint("name each platform once")
		}
		for _, desc := range append([]v1.Descriptor{i.Desc, i.Manifest.Config}, i.Manifest.Layers...) {
			blob, err := BlobDigest(desc)
			if err == nil {
				err = w.blob(blob)
			}
			if err != nil {
				return tree.Tree{}, err
			}
		}
		p := i.Desc.Platform
		index.Manifests = append(index.Manifests, descriptor{i.Desc.MediaType, i.Desc.Digest.String(), i.Desc.Size,
			&osArch{p.Architecture, p.OS, p.OSVersion, p.OSFeatures, p.Variant}})
		if one, ok := described[i.Desc.Digest.String()]; ok {
			d.Platforms = append(d.Platforms, one)
		}
	}
	blob, err := w.document(ctx, index)
	if err != nil {
		return tree.Tree{}, err
	}
	return w.finish(ctx, describeBlob(types.OCIImageIndex, blob), d)
}

// sharedAnnotations is what all manifests say alike.
func sharedAnnotations(images []Image) map[string]string {
	out := map[string]string{}
	for k, v := range images[0].Manifest.Annotations {
		differs := func(i Image) bool { other, ok := i.Manifest.Annotations[k]; return !ok || other != v }
		if !slices.ContainsFunc(images, differs) {
			out[k] = v
		}
	}
	return out
}
