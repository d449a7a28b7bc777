package oci

import (
	"context"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/oci/layer"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

var unpackDef = engine.NativeDef{Name: "oci-unpack", Version: 1, Run: runUnpack}

type unpackParams struct {
	Platform platform.Platform `json:"platform"`
}

// The files of an unpacked image besides rootDir and attrsFile.
const configFile = "config.json"

// Unpack is what a container engine would run of an image: a tree with `root/` (the files), `config.json` (the image's
// configuration, byte for byte) and `attrs` (owners and modes that are not the usual ones, see layer.ParseAttrs). The
// result of layout is any image layout, whoever made it. Device nodes are left out: whoever runs the image brings its own.
func Unpack(layout engine.Step, p platform.Platform) engine.Step {
	return engine.Native(layout.Label()+" unpacked", unpackDef, unpackParams{p}, layout)
}

func runUnpack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p unpackParams
	if err := params(c, &p, 1); err != nil {
		return tree.Tree{}, err
	}
	l, err := Open(ctx, c.Store, c.Inputs[0])
	if err != nil {
		return tree.Tree{}, err
	}
	i, err := l.Image(p.Platform)
	if err != nil {
		return tree.Tree{}, err
	}
	layers, err := i.layers()
	if err != nil {
		return tree.Tree{}, err
	}
	applied, err := layer.Apply(ctx, c.Store, layers, layer.ApplyOptions{SkipDevices: true})
	if err != nil {
		return tree.Tree{}, err
	}
	config, err := BlobDigest(i.Manifest.Config)
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	if err = b.Tree(rootDir, applied.Tree); err == nil {
		err = b.File(configFile, config, false)
	}
	if err == nil {
		err = putAttrs(ctx, c.Store, b, attrsFile, applied.Attrs)
	}
	if err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, c.Store)
}

// layers is the layers of an image, the lowest first, as they are to be applied.
func (i *Image) layers() ([]layer.Layer, error) {
	var out []layer.Layer
	for n, desc := range i.Manifest.Layers {
		blob, err := BlobDigest(desc)
		if err != nil {
			return nil, err
		}
		how, err := layer.CompressionOf(desc.MediaType)
		if err != nil {
			return nil, err
		}
		out = append(out, layer.Layer{Blob: blob, Compression: how, DiffID: i.Config.RootFS.DiffIDs[n].Hex})
	}
	return out, nil
}

// Image gives the image for a platform: of several variants of its processor the usual one, then the one without a name.
func (l *Layout) Image(p platform.Platform) (*Image, error) {
	want := imagePlatform(p)
	var best *Image
	var have []string
	for n := range l.Images {
		i := &l.Images[n]
		on := i.Desc.Platform
		have = append(have, on.String())
		if on.OS != want.OS || on.Architecture != want.Architecture {
			continue
		}
		if best == nil || on.Variant == want.Variant || on.Variant == "" && best.Desc.Platform.Variant != want.Variant {
			best = i
		}
	}
	if best == nil {
		return nil, diag.Inputf("image-platforms", "the image is not for %s, but for %s", p, strings.Join(have, ", "))
	}
	return best, nil
}
