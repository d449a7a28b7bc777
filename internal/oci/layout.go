package oci

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

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
	Top    v1.Descriptor // a manifest, or an image index where there are several platforms
	Index  []byte        // the bytes of the image index, where Top is one
	Images []Image       // one a platform, in the order of the index
}

// Image is the image of one platform.
type Image struct {
	Desc     v1.Descriptor // of the manifest; Platform is set
	Raw      []byte        // the manifest's bytes
	Manifest *v1.Manifest
	Config   *v1.ConfigFile
}

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
