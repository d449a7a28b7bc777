package export

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"hewn.example/hewn/internal/diag"
)

// OCIArchive writes the image layout as one tar file. It is complete when it appears.
func OCIArchive(ctx context.Context, img Image, file string) (Summary, error) {
	room := "about " + megabytes(layersSize(img)) + " are needed there"
	return toFile(file, room, func(w io.Writer) (Summary, error) { return WriteOCIArchive(ctx, img, w) })
}

// WriteOCIArchive writes the image layout as a tar: oci-layout, index.json, then the blobs by digest. Times are the
// start of 1980, owners 0.
func WriteOCIArchive(ctx context.Context, img Image, w io.Writer) (Summary, error) {
	blobs, err := contents(ctx, img)
	if err != nil {
		return Summary{}, err
	}
	top, err := index(img, nil)
	if err != nil {
		return Summary{}, err
	}
	counted := &counter{w: w}
	t := archive{tar.NewWriter(counted)}
	if err := t.file(layoutFile, []byte(layoutText)); err != nil {
		return Summary{}, err
	}
	if err := t.file(indexFile, top); err != nil {
		return Summary{}, err
	}
	for _, dir := range []string{"blobs/", blobsDir + "/"} {
		if err := t.header(tar.TypeDir, dir, 0); err != nil {
			return Summary{}, err
		}
	}
	for _, b := range blobs {
		if err := t.header(tar.TypeReg, blobsDir+"/"+b.digest.Hex(), b.digest.Size()); err != nil {
			return Summary{}, err
		}
		if err := img.copyTo(ctx, t, b); err != nil {
			return Summary{}, err
		}
	}
	err = t.Close()
	return Summary{Digest: img.Layout.Top.Digest.String(), Blobs: len(blobs), Written: len(blobs), Bytes: counted.n}, err
}

// toFile writes an archive beside its place. What is there and no regular file (a pipe, /dev/stdout) is written to.
func toFile(file, room string, write func(w io.Writer) (Summary, error)) (s Summary, err error) {
	into := func(w io.Writer) (err error) { s, err = write(w); return err }
	info, statErr := os.Stat(file)
	switch {
	case statErr == nil && info.IsDir():
		return Summary{}, diag.Inputf("output-not-ours", "`%s` is a directory, and an archive is one file", file).Hint("name a file")
	case statErr == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return Summary{}, failed(file, "", err)
		}
		defer f.Close()
		err = into(f)
		if err != nil {
			return Summary{}, failed(file, "", err)
		}
		return s, nil
	case statErr == nil:
		if file, err = filepath.EvalSymlinks(file); err != nil { // a link stays one
			return Summary{}, failed(file, "", err)
		}
	}
	if err := replace(file, into); err != nil {
		return Summary{}, failed(file, room, err)
	}
	return s, nil
}

// layersSize is nearly all of what a layout needs.
func layersSize(img Image) int64 {
	sum := int64(0)
	for _, i := range img.Layout.Images {
		for _, d := range i.Manifest.Layers {
			sum += d.Size
		}
	}
	return sum
}

// archive is a tar of which everything but names, kinds and content is constant.
type archive struct{ *tar.Writer }

// ustarMost is the largest size that fits the header of the older format, which every tool reads.
const ustarMost = 1<<33 - 1

func (a archive) header(kind byte, name string, size int64) error {
	h := &tar.Header{Typeflag: kind, Name: name, Size: size, Mode: int64(blobMode), Format: tar.FormatUSTAR,
		ModTime: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	if kind == tar.TypeDir {
		h.Mode = int64(dirMode)
	}
	if size > ustarMost {
		h.Format = tar.FormatPAX
	}
	return a.WriteHeader(h)
}

func (a archive) file(name string, b []byte) error {
	if err := a.header(tar.TypeReg, name, int64(len(b))); err != nil {
		return err
	}
	_, err := a.Write(b)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
