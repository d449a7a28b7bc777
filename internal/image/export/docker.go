package export

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/oci/layer"

	unpack "hewn.example/hewn/internal/archive"
)

// DockerArchive writes the image as one tar file of the form of `docker save`. It is complete when it appears.
func DockerArchive(ctx context.Context, img Image, file string) (Summary, error) {
	room := "layers of " + megabytes(layersSize(img)) + " are unpacked there"
	return toFile(file, room, func(w io.Writer) (Summary, error) { return WriteDockerArchive(ctx, img, w) })
}

// WriteDockerArchive writes the image of one platform as `docker load` and `podman load` take it: manifest.json, the
// configuration, and layers as plain tars, each called by its digest. A name of the image without a tag gets `latest`.
//
// A tar says how long a file is before the file, and nothing says how long a layer is when it is unpacked. So layers are
// unpacked twice: once to measure them and to compare them with their digests in the configuration, at the same time,
// and once to write them. That costs processor time and no room; a spool would need the size of the whole image on disk,
// and an image would come out half before it is known to be right.
func WriteDockerArchive(ctx context.Context, img Image, w io.Writer) (Summary, error) {
	if n := len(img.Layout.Images); n != 1 {
		return Summary{}, diag.Inputf("several-platforms", "an archive for Docker has the image of one platform, and here are %d", n).
			Hint("choose one with `--platform`")
	}
	one := img.Layout.Images[0]
	names, err := repoTags(img.Names)
	if err != nil {
		return Summary{}, err
	}
	layers, err := img.plainLayers(ctx, one)
	if err != nil {
		return Summary{}, err
	}
	config, err := oci.BlobDigest(one.Manifest.Config)
	if err != nil {
		return Summary{}, err
	}
	paths := []string{}
	for _, l := range layers {
		paths = append(paths, l.name())
	}
	manifest, err := json.Marshal([]dockerManifest{{config.Hex() + ".json", names, paths}})
	if err != nil {
		return Summary{}, err
	}
	counted := &counter{w: w}
	t := archive{tar.NewWriter(counted)}
	if err := t.file("manifest.json", manifest); err != nil {
		return Summary{}, err
	}
	if err := t.header(tar.TypeReg, config.Hex()+".json", config.Size()); err != nil {
		return Summary{}, err
	}
	if err := img.copyTo(ctx, t, blob{digest: config}); err != nil {
		return Summary{}, err
	}
	done := map[string]bool{}
	for _, l := range layers {
		if done[l.name()] {
			continue
		}
		done[l.name()] = true
		if err := t.header(tar.TypeReg, l.name(), l.size); err != nil {
			return Summary{}, err
		}
		if _, err := img.unpackTo(ctx, t, l); err != nil {
			return Summary{}, err
		}
	}
	err = t.Close()
	return Summary{Digest: one.Desc.Digest.String(), Blobs: len(done) + 1, Written: len(done) + 1, Bytes: counted.n}, err
}

type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// repoTags gives names as `docker load` takes them: with a tag and without a digest.
func repoTags(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		if n == "" || strings.Contains(n, "@") {
			return nil, diag.Inputf("bad-reference", "%q cannot be the name of an image in an archive for Docker", n).
				Hint("use `name:tag`; an archive carries no digests")
		}
		if !strings.Contains(n[strings.LastIndex(n, "/")+1:], ":") {
			n += ":latest"
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// plainLayer is a layer to be unpacked.
type plainLayer struct {
	packed digest.Digest
	how    layer.Compression
	diffID string // hex
	size   int64  // unpacked
}

func (l plainLayer) name() string { return l.diffID + ".tar" }

// plainLayers measures the layers of an image, and compares each with its digest.
func (img Image) plainLayers(ctx context.Context, one oci.Image) ([]plainLayer, error) {
	ids := one.Config.RootFS.DiffIDs
	if len(ids) != len(one.Manifest.Layers) {
		return nil, fmt.Errorf("the manifest has %d layers, the configuration %d", len(one.Manifest.Layers), len(ids))
	}
	out := make([]plainLayer, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, d := range one.Manifest.Layers {
		packed, err := oci.BlobDigest(d)
		if err != nil {
			return nil, err
		}
		how, err := layer.CompressionOf(d.MediaType)
		if err != nil {
			return nil, err
		}
		out[i] = plainLayer{packed: packed, how: how, diffID: ids[i].Hex}
		g.Go(func() error {
			h := digest.NewWriter()
			n, err := img.unpackTo(ctx, h, out[i])
			if err != nil {
				return err
			}
			if got := h.Digest().Hex(); ids[i].Algorithm != "sha256" || got != ids[i].Hex {
				return fmt.Errorf("layer %s unpacks to %s%s, and the configuration says %s", d.Digest, digestPrefix, got, ids[i])
			}
			out[i].size = n
			return nil
		})
	}
	return out, g.Wait()
}

// unpackTo writes the plain bytes of a layer and gives their number.
func (img Image) unpackTo(ctx context.Context, w io.Writer, l plainLayer) (int64, error) {
	r, err := img.Blobs.Open(ctx, l.packed)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	plain := io.NopCloser(reader{ctx, r})
	if l.how != layer.None { // else the name of the first file could pass for the mark of a compression
		if plain, err = unpack.Decompress(plain, "layer "+digestPrefix+l.packed.Hex()); err != nil {
			return 0, err
		}
	}
	defer plain.Close()
	most := layer.DefaultLimits.Bytes
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.LimitReader(plain, most+1)}, make([]byte, copyBuffer))
	if err == nil && n > most {
		err = fmt.Errorf("layer %s%s unpacks to more than %d bytes", digestPrefix, l.packed.Hex(), most)
	}
	return n, err
}
