package oci

import (
	"context"
	"errors"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

// Description is what hewn-image.json says of a layout that hewn made: which tree each image was made of, and which
// group of files is in which layer. Other tools neither need nor write it.
type Description struct {
	Platforms []Described `json:"platforms"`
}

// Described is the image of one platform in a Description.
type Described struct {
	Platform platform.Platform `json:"platform"`
	Root     tree.Tree         `json:"root"`     // the files that the image was made of
	Manifest string            `json:"manifest"` // "sha256:<hex>"
	Layers   []DescribedLayer  `json:"layers"`   // the lowest first; groups without files have none
}

// DescribedLayer is one layer in a Description.
type DescribedLayer struct {
	Name   string `json:"name"`   // of the group
	Digest string `json:"digest"` // "sha256:<hex>" of the blob, compressed
	Size   int64  `json:"size"`   // of the blob
	DiffID string `json:"diffID"` // "sha256:<hex>" of the plain tar
}

// Blob is where the store has the layer.
func (l DescribedLayer) Blob() (digest.Digest, error) { return blobOf(l.Digest, l.Size) }

// Describe reads the hewn-image.json of a layout.
func Describe(ctx context.Context, st Store, layout tree.Tree) (Description, error) {
	return Description{}, errors.New("oci: not yet")
}
