package engine

import (
	"encoding/json"
	"fmt"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// Record is the build record of one target: what makes a build in which nothing has changed one look-up. Whoever keeps
// it (package cli) makes its key of everything that a build depends on besides the content of directory sources: the
// recipe, hewn.toml, sources.lock, the target, the platform and hewn's own build ID. It holds as long as every directory
// source still has its fingerprint and Output is in the store.
type Record struct {
	// Sources is the fingerprint of each directory source that the build looked at, by the source's name. What a
	// fingerprint is, its maker knows; here it is compared as text.
	Sources map[string]string `json:"sources,omitempty"`
	Output  tree.Tree         `json:"output"`
	Steps   Stats             `json:"steps"`
}

// RecordKey is the key of a build record, made of the texts that the build depends on, in an order of the caller's.
func RecordKey(parts ...string) string {
	text, _ := json.Marshal(parts) // texts only: cannot fail
	return "build-" + digest.Of(text).Hex()
}

// Encode writes r for Traces.
func (r Record) Encode() []byte {
	b, _ := json.Marshal(r) // texts and numbers only: cannot fail
	return b
}

// DecodeRecord reads what Encode wrote.
func DecodeRecord(b []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("build record: %w", err)
	}
	if r.Output.IsZero() {
		return Record{}, fmt.Errorf("build record: it has no output")
	}
	return r, nil
}
