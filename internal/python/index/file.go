package index

import (
	"context"
	"strings"
)

// FileMetadata gives the metadata of a wheel or sdist whose bytes are at hand.
func FileMetadata(ctx context.Context, name string, b []byte) (Metadata, error) {
	if !strings.HasSuffix(name, ".whl") {
		return sourceMetadata(ctx, name, b)
	}
	raw, err := wheelMetadata(b)
	if err != nil {
		return Metadata{}, err
	}
	return ParseMetadata(raw)
}
