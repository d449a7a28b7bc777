package index

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/python/pep508"
)

// Metadata is what a resolver needs of a wheel's core metadata.
type Metadata struct {
	RequiresPython string
	Requires       []pep508.Requirement
}

const (
	maxMetadata = 8 << 20   // the largest known has 1 MB, nearly all of it a description
	maxWheel    = 256 << 20 // of a wheel that is read only for its metadata
)

// ReadMetadata gives the metadata of a wheel: the file that the index serves beside it (PEP 658), else out of the wheel.
// Of an sdist it is what the sdist says without being built.
func ReadMetadata(ctx context.Context, g fetch.Getter, e origin.Endpoint, f File) (Metadata, error) {
	if f.Name != "" && !strings.HasSuffix(f.Name, ".whl") {
		m, err := sdistMetadata(ctx, g, e, f)
		if err != nil {
			err = fmt.Errorf("metadata of %s: %w", f.Name, err)
		}
		return m, err
	}
	b, err := metadataBytes(ctx, g, e, f)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata of %s: %w", f.Name, err)
	}
	m, err := ParseMetadata(b)
	if err != nil {
		return m, fmt.Errorf("metadata of %s: %w", f.Name, err)
	}
	return m, nil
}

func metadataBytes(ctx context.Context, g fetch.Getter, e origin.Endpoint, f File) ([]byte, error) {
	if f.Metadata {
		b, err := g.Get(ctx, e, f.URL+".metadata", "", maxMetadata)
		if err != nil {
			return nil, err
		}
		return b, check(b, f.MetadataSHA256)
	}
	b, err := Download(ctx, g, e, f)
	if err != nil {
		return nil, err
	}
	if err := check(b, f.SHA256); err != nil {
		return nil, err
	}
	return wheelMetadata(b)
}

func wheelMetadata(b []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	for _, entry := range z.File {
		dir, name, _ := strings.Cut(entry.Name, "/")
		if name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		r, err := entry.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, maxMetadata))
	}
	return nil, fmt.Errorf("the wheel has no METADATA")
}

// Download reads a whole file, for what an index does not tell: metadata or a hash.
func Download(ctx context.Context, g fetch.Getter, e origin.Endpoint, f File) ([]byte, error) {
	r, err := g.Open(ctx, e, f.URL)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxWheel+1))
	if err == nil && len(b) > maxWheel {
		err = fmt.Errorf("it has more than %d bytes", maxWheel)
	}
	return b, err
}

func check(b []byte, want string) error {
	if want == "" {
		return nil
	}
	got := sha256.Sum256(b)
	if hex.EncodeToString(got[:]) != strings.ToLower(want) {
		return fmt.Errorf("its hash is sha256 %x, but the index says %s", got, want)
	}
	return nil
}

// ParseMetadata reads the head of a METADATA file. A requirement that cannot be read is an error: to leave it out would
// be to resolve something else.
func ParseMetadata(b []byte) (Metadata, error) {
	var m Metadata
	for line := range bytes.Lines(b) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break // the description follows
		}
		key, value, ok := strings.Cut(text, ":")
		if !ok || text[0] == ' ' || text[0] == '\t' {
			continue // a folded line of a field that is not read
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "requires-python":
			m.RequiresPython = value
		case "requires-dist":
			r, err := pep508.Parse(value)
			if err != nil {
				return m, err
			}
			m.Requires = append(m.Requires, r)
		}
	}
	return m, nil
}
