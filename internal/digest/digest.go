// Package digest is the address of bytes: SHA-256 and size, as the Remote Execution API has it.
//
// A Digest can only be made by hashing bytes or by parsing a well-formed text, so a valid value is never checked
// again further in. It is comparable and may be used as a map key. All functions are safe for concurrent use.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Digest is the SHA-256 of a content together with its length in bytes.
// The zero value is no digest at all; see IsZero.
type Digest struct {
	hash [sha256.Size]byte
	size int64
	set  bool
}

// Empty is the digest of no bytes.
var Empty = Of(nil)

// Of hashes b.
func Of(b []byte) Digest {
	return Digest{hash: sha256.Sum256(b), size: int64(len(b)), set: true}
}

// New puts a digest together from its parts. hash must be the 32 bytes of a SHA-256, size must not be negative.
func New(hash []byte, size int64) (Digest, error) {
	var d Digest
	if len(hash) != sha256.Size {
		return d, fmt.Errorf("digest: hash has %d bytes, want %d", len(hash), sha256.Size)
	}
	if size < 0 {
		return d, fmt.Errorf("digest: size %d is negative", size)
	}
	copy(d.hash[:], hash)
	d.size, d.set = size, true
	return d, nil
}

// FromHex puts a digest together from the 64 lower-case hex digits of its hash and its size.
func FromHex(hexHash string, size int64) (Digest, error) {
	if len(hexHash) != 2*sha256.Size || strings.ToLower(hexHash) != hexHash {
		return Digest{}, errors.New("digest: hash is not 64 lower-case hex digits")
	}
	raw, err := hex.DecodeString(hexHash)
	if err != nil {
		return Digest{}, errors.New("digest: hash is not 64 lower-case hex digits")
	}
	return New(raw, size)
}

// Parse reads the text form that String writes: `<64 hex digits>/<size>`.
func Parse(s string) (Digest, error) {
	h, n, ok := strings.Cut(s, "/")
	if !ok {
		return Digest{}, fmt.Errorf("digest: %q has no `/<size>`", s)
	}
	size, err := strconv.ParseInt(n, 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != n {
		return Digest{}, fmt.Errorf("digest: %q is not a size", n)
	}
	return FromHex(h, size)
}

// Hex is the hash in 64 lower-case hex digits.
func (d Digest) Hex() string { return hex.EncodeToString(d.hash[:]) }

// Hash is a copy of the 32 bytes of the hash.
func (d Digest) Hash() [sha256.Size]byte { return d.hash }

// Size is the length of the content in bytes.
func (d Digest) Size() int64 { return d.size }

// IsZero says that d was never set.
func (d Digest) IsZero() bool { return !d.set }

// String is the text form `<hex>/<size>`, which Parse reads back. The zero digest prints as `-`.
func (d Digest) String() string {
	if !d.set {
		return "-"
	}
	return d.Hex() + "/" + strconv.FormatInt(d.size, 10)
}

// Short is the first 12 hex digits, for people.
func (d Digest) Short() string { return d.Hex()[:12] }

// MarshalText and UnmarshalText give the form of String in JSON and elsewhere; "-" is the zero digest.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (d *Digest) UnmarshalText(b []byte) error {
	if string(b) == "-" || len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := Parse(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// Compare orders digests by hash, then size.
func Compare(a, b Digest) int {
	if c := strings.Compare(string(a.hash[:]), string(b.hash[:])); c != 0 {
		return c
	}
	switch {
	case a.size < b.size:
		return -1
	case a.size > b.size:
		return 1
	}
	return 0
}

// Writer hashes what is written to it.
type Writer struct {
	h hash.Hash
	n int64
}

// NewWriter starts an empty hash.
func NewWriter() *Writer { return &Writer{h: sha256.New()} }

// Write never fails.
func (w *Writer) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return w.h.Write(p)
}

// Digest is the digest of all bytes written so far.
func (w *Writer) Digest() Digest {
	d := Digest{size: w.n, set: true}
	w.h.Sum(d.hash[:0])
	return d
}
