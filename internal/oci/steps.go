package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/oci/layer"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// ImageOptions is what an image is made of.
type ImageOptions struct {
	Name     string      // what people call the image, for the labels of steps
	Root     engine.Step // the files
	Image    spec.Image  // must be valid, see spec.Image.Validate
	Platform platform.Platform
}

// The native steps of images.
var (
	splitDef  = engine.NativeDef{Name: "oci-split", Version: 1, Run: runSplit}
	layoutDef = engine.NativeDef{Name: "oci-layout", Version: 1, Run: runLayout}
)

// Natives is the code of the steps that this package makes.
func Natives() []engine.NativeDef {
	return []engine.NativeDef{splitDef, layoutDef, unpackDef, layerDef(layer.Zstd), layerDef(layer.Gzip), layerDef(layer.None)}
}

// layerDef is the step that makes layers. The implementation of the compression is part of its name, by a hash, and not
// only of its parameters: a plan that was remembered by a hewn with another implementation then does not hold any more,
// instead of asking for bytes that nobody can make.
func layerDef(c layer.Compression) engine.NativeDef {
	made := digest.Of([]byte(layer.TarVersion + "\n" + layer.CodecVersion(c)))
	return engine.NativeDef{Name: "oci-layer-" + string(c) + "-" + made.Short()[:8], Version: 1, Run: runLayer}
}

// splitParams is what the cut of the files hangs on besides the files.
type splitParams struct {
	Groups []groupParams     `json:"groups"`
	Owners map[string]string `json:"owners,omitempty"`
	Modes  map[string]string `json:"modes,omitempty"`
	User   string            `json:"user,omitempty"` // is looked up only: a bad name fails before any layer is made
}

// groupParams is a group without its name, which no layer depends on.
type groupParams []string

// layerParams is what the bytes of a layer hang on besides its files and attributes. Tar and Codec are for people who
// compare keys.
type layerParams struct {
	Compression layer.Compression `json:"compression"`
	Tar         string            `json:"tar"`
	Codec       string            `json:"codec"`
}

// layoutParams is the image without what went into its layers.
type layoutParams struct {
	Image    spec.Image        `json:"image"`
	Groups   []string          `json:"groups"` // the names of the inputs after the first
	Cut      []spec.LayerGroup `json:"cut"`    // what the recipe or the plan says of the groups, for hewn-image.json
	Platform platform.Platform `json:"platform"`
}

// Make is an image as a step: its result is a layout of one platform, see Open.
//
// One step cuts the files, one makes each layer, one puts the layout together. A layer's step sees nothing but its own
// files and their attributes, so a change of other files, of other groups or of the configuration leaves it alone.
func Make(o ImageOptions) engine.Step {
	groups := layerGroups(o.Image.Layers)
	cut := splitParams{Owners: o.Image.Owners, Modes: o.Image.Modes, User: o.Image.User}
	for _, g := range groups {
		cut.Groups = append(cut.Groups, g.Paths)
	}
	compression, err := layer.ParseCompression(o.Image.Compression)
	if err != nil {
		panic("oci: the image " + o.Name + " was not validated: " + err.Error())
	}
	how := layerParams{compression, layer.TarVersion, layer.CodecVersion(compression)}
	last := layoutParams{Image: o.Image, Cut: o.Image.Layers, Platform: o.Platform}
	last.Image.Layers, last.Image.Owners, last.Image.Modes, last.Image.Compression = nil, nil, nil, ""

	split := engine.Native(o.Name+" files", splitDef, cut, o.Root)
	inputs := []engine.Step{o.Root}
	for i, g := range groups {
		last.Groups = append(last.Groups, g.Name)
		part := engine.Sub(split, strconv.Itoa(i))
		inputs = append(inputs, engine.Native(o.Name+" layer "+g.Name, layerDef(compression), how, part))
	}
	return engine.Native(o.Name+" layout", layoutDef, last, inputs...)
}

// params decodes what a step got, and checks the number of its inputs.
func params(c engine.NativeCall, into any, inputs int) error {
	if inputs >= 0 && len(c.Inputs) != inputs {
		return fmt.Errorf("want %d inputs, not %d", inputs, len(c.Inputs))
	}
	return json.Unmarshal(c.Params, into)
}

const (
	rootDir   = "root"
	attrsFile = "attrs"
	layerBlob = "layer"
	layerJSON = "layer.json"
)

// runSplit cuts a tree: its result has a directory for each group, by its number, with the group's files in `root` and
// their attributes in `attrs`. That of a group without files is empty.
func runSplit(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p splitParams
	if err := params(c, &p, 1); err != nil {
		return tree.Tree{}, err
	}
	root := c.Inputs[0]
	var groups []spec.LayerGroup
	for i, paths := range p.Groups {
		groups = append(groups, spec.LayerGroup{Name: strconv.Itoa(i), Paths: paths})
	}
	if err := (&spec.Image{Layers: groups, Owners: p.Owners, Modes: p.Modes, User: p.User}).Validate(); err != nil {
		return tree.Tree{}, err
	}
	a, err := readAccounts(ctx, c.Store, root)
	if err != nil {
		return tree.Tree{}, err
	}
	if p.User != "" {
		if _, _, err := a.owner(p.User, "user"); err != nil {
			return tree.Tree{}, err
		}
	}
	attrs, err := resolveAttrs(ctx, c.Store, root, a, p)
	if err != nil {
		return tree.Tree{}, err
	}
	trees, err := Split(ctx, c.Store, root, groups)
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	for i, t := range trees {
		if err := addPart(ctx, c.Store, b, strconv.Itoa(i), t, attrs); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}

// addPart puts one group into the result of a split.
func addPart(ctx context.Context, st store.Store, b *tree.Builder, at string, t tree.Tree, all layer.Attrs) error {
	if t == tree.Empty {
		return b.Dir(at)
	}
	attrs, err := attrsOf(ctx, st, t, all)
	if err == nil {
		err = b.Tree(at+"/"+rootDir, t)
	}
	if err != nil {
		return err
	}
	return putAttrs(ctx, st, b, at+"/"+attrsFile, attrs)
}

func putAttrs(ctx context.Context, st store.Store, b *tree.Builder, at string, attrs layer.Attrs) error {
	text, err := layer.EncodeAttrs(attrs)
	if err != nil {
		return err
	}
	d, err := st.Put(ctx, text)
	if err != nil {
		return err
	}
	return b.File(at, d, false)
}

// maxAttrs bounds the attributes of a layer.
const maxAttrs = 64 << 20

// readPart is the reverse of addPart.
func readPart(ctx context.Context, st store.Store, part tree.Tree) (root tree.Tree, a layer.Attrs, err error) {
	root, err = tree.Sub(ctx, st, part, rootDir)
	if err != nil {
		return root, a, err
	}
	e, err := tree.Lookup(ctx, st, part, attrsFile)
	if err != nil {
		return root, a, err
	}
	text, err := store.ReadBlob(ctx, st, e.Digest, maxAttrs)
	if err != nil {
		return root, a, err
	}
	a, err = layer.ParseAttrs(text)
	return root, a, err
}

// runLayer makes the layer of one group: the blob in `layer`, what the manifest has to say of it in `layer.json`.
func runLayer(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p layerParams
	if err := params(c, &p, 1); err != nil {
		return tree.Tree{}, err
	}
	if c.Inputs[0] == tree.Empty {
		return tree.Empty, nil
	}
	root, attrs, err := readPart(ctx, c.Store, c.Inputs[0])
	if err != nil {
		return tree.Tree{}, err
	}
	info, err := layer.Put(ctx, c.Store, root, layer.Options{Attrs: attrs, Compression: p.Compression})
	if err != nil {
		return tree.Tree{}, err
	}
	doc, err := encodeJSON(madeLayer{p.Compression.MediaType(), ociDigest(info.Digest), info.Digest.Size(), ociDigest(info.DiffID)})
	if err != nil {
		return tree.Tree{}, err
	}
	d, err := c.Store.Put(ctx, doc)
	if err != nil {
		return tree.Tree{}, err
	}
	return c.Store.PutDirectory(ctx, &tree.Directory{Files: []tree.File{{Name: layerBlob, Digest: info.Digest}, {Name: layerJSON, Digest: d}}})
}

// runLayout puts an image together. The first input is the files that it was made of, the others are its layers.
func runLayout(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p layoutParams
	if err := params(c, &p, -1); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 1+len(p.Groups) {
		return tree.Tree{}, fmt.Errorf("%d inputs for %d layers", len(c.Inputs), len(p.Groups))
	}
	if err := p.Image.Validate(); err != nil {
		return tree.Tree{}, err
	}
	var layers []namedLayer
	for i, t := range c.Inputs[1:] {
		if t == tree.Empty {
			continue
		}
		l, err := readLayer(ctx, c.Store, t)
		if err != nil {
			return tree.Tree{}, err
		}
		layers = append(layers, namedLayer{l, p.Groups[i]})
	}
	if len(layers) == 0 {
		return tree.Tree{}, diag.Inputf("image-empty", "the image has no files")
	}
	return writeImage(ctx, c.Store, c.Inputs[0], &p, layers)
}

func readLayer(ctx context.Context, st store.Store, t tree.Tree) (l madeLayer, err error) {
	e, err := tree.Lookup(ctx, st, t, layerJSON)
	if err != nil {
		return l, err
	}
	text, err := store.ReadBlob(ctx, st, e.Digest, maxDocument)
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// writeImage is the layout of one image.
func writeImage(ctx context.Context, st store.Store, root tree.Tree, p *layoutParams, layers []namedLayer) (tree.Tree, error) {
	w := newWriter(st)
	manifest := manifestDoc{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: p.Image.Annotations}
	described := Described{Platform: p.Platform, Root: root, Groups: p.Cut}
	for _, l := range layers {
		blob, err := blobOf(l.Digest, l.Size)
		if err == nil {
			err = w.blob(blob)
		}
		if err != nil {
			return tree.Tree{}, err
		}
		manifest.Layers = append(manifest.Layers, descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
		described.Layers = append(described.Layers, DescribedLayer{l.name, l.Digest, l.Size, l.DiffID})
	}
	config, err := w.document(ctx, newConfig(&p.Image, p.Platform, layers))
	if err != nil {
		return tree.Tree{}, err
	}
	manifest.Config = describeBlob(types.OCIConfigJSON, config)
	d, err := w.document(ctx, manifest)
	if err != nil {
		return tree.Tree{}, err
	}
	described.Manifest = ociDigest(d)
	top := describeBlob(types.OCIManifestSchema1, d)
	on := imagePlatform(p.Platform)
	top.Platform = &on
	return w.finish(ctx, top, Description{[]Described{described}})
}
