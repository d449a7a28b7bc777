package source

import (
	"archive/zip"
	"encoding/base64"
	"fmt"
	"io"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
)

// maxH1Bytes bounds what a module zip may unpack to while it is hashed: Go itself refuses modules above 500 MiB, and
// toolchains (which are modules too) unpack to about 250 MB.
const maxH1Bytes = 2 << 30

// VerifyH1 computes Go's h1 hash of a file of the module proxy, to be compared with the line of go.sum: over the files
// inside for `<version>.zip`, over the single file `go.mod` for `<version>.mod`.
func VerifyH1(file string, ra io.ReaderAt, size int64) (Integrity, error) {
	var text string
	var err error
	switch {
	case strings.HasSuffix(file, ".zip"):
		text, err = h1Zip(ra, size)
	case strings.HasSuffix(file, ".mod"):
		text, err = dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(ra, 0, size)), nil
		})
	default:
		return Integrity{}, fmt.Errorf("%s: only .zip and .mod files have an h1 hash", file)
	}
	if err != nil {
		return Integrity{}, fmt.Errorf("%s: %w", file, err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "h1:"))
	if err != nil {
		return Integrity{}, fmt.Errorf("%s: %w", file, err)
	}
	return NewIntegrity(H1, raw)
}

func h1Zip(ra io.ReaderAt, size int64) (string, error) {
	z, err := zip.NewReader(ra, size)
	if err != nil {
		return "", err
	}
	files := make(map[string]*zip.File, len(z.File))
	names := make([]string, 0, len(z.File))
	var total uint64
	for _, f := range z.File {
		if _, twice := files[f.Name]; twice {
			return "", fmt.Errorf("file %q stands twice in the zip", f.Name)
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > maxH1Bytes || total > maxH1Bytes {
			return "", fmt.Errorf("the zip unpacks to more than %d bytes", int64(maxH1Bytes))
		}
		files[f.Name] = f
		names = append(names, f.Name)
	}
	sort.Strings(names)
	return dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return files[name].Open() })
}
