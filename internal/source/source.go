// Package source is where bytes come from, as values: sources, pins of sources, artifacts and their integrity.
package source

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Algorithm is how an Integrity was computed.
type Algorithm string

// The algorithms that lock files use.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
	SHA384 Algorithm = "sha384" // npm only, and rare
	SHA1   Algorithm = "sha1"   // only old npm entries; accepted where a lock has nothing better
	H1     Algorithm = "h1"     // Go's hash over the files of a module zip: golang.org/x/mod/sumdb/dirhash.Hash1
)

// Integrity is what the bytes of an artifact must have. It is comparable; the zero value means "nothing is known".
type Integrity struct {
	alg Algorithm
	sum string // raw bytes
}

var sizes = map[Algorithm]int{SHA256: sha256.Size, SHA512: sha512.Size, SHA384: sha512.Size384, SHA1: sha1.Size, H1: sha256.Size}

// NewIntegrity takes the raw bytes of a hash.
func NewIntegrity(alg Algorithm, sum []byte) (Integrity, error) {
	n, ok := sizes[alg]
	if !ok {
		return Integrity{}, fmt.Errorf("integrity: `%s` is no hash that is checked here", alg)
	}
	if n != len(sum) {
		return Integrity{}, fmt.Errorf("integrity: %d bytes are no %s", len(sum), alg)
	}
	return Integrity{alg, string(sum)}, nil
}

// ParseIntegrity reads the forms that lock files use: `sha256:<hex>` (uv, Cargo, Debian), `sha512-<base64>` (npm's
// subresource integrity; of several, the strongest known, and unknown ones are passed over), `h1:<base64>` (Go).
func ParseIntegrity(s string) (Integrity, error) {
	var best Integrity
	var unknown error
	rank := map[Algorithm]int{SHA1: 1, SHA256: 2, H1: 2, SHA384: 3, SHA512: 4}
	for _, part := range strings.Fields(s) {
		part, _, _ = strings.Cut(part, "?")
		v, err := parseOne(part)
		if alg, _, ok := strings.Cut(part, "-"); err != nil && ok && sizes[Algorithm(alg)] == 0 {
			unknown = err
			continue
		}
		if err != nil {
			return Integrity{}, err
		}
		if rank[v.alg] > rank[best.alg] {
			best = v
		}
	}
	if best.IsZero() && unknown != nil {
		return best, unknown
	}
	if best.IsZero() {
		return best, fmt.Errorf("integrity %q: want `sha256:<hex>`, `sha512-<base64>` or `h1:<base64>`", s)
	}
	return best, nil
}

func parseOne(s string) (Integrity, error) {
	i := strings.IndexAny(s, ":-")
	if i < 0 {
		return Integrity{}, fmt.Errorf("integrity %q: no algorithm in front", s)
	}
	alg, text := Algorithm(s[:i]), s[i+1:]
	decode := hex.DecodeString
	if s[i] == '-' || alg == H1 {
		decode = base64.StdEncoding.DecodeString
	}
	raw, err := decode(text)
	if err != nil {
		return Integrity{}, fmt.Errorf("integrity %q: not a hash: %w", s, err)
	}
	return NewIntegrity(alg, raw)
}

// IsZero says that nothing is known of the bytes.
func (i Integrity) IsZero() bool { return i.alg == "" }

// Algorithm says how the hash was computed.
func (i Integrity) Algorithm() Algorithm { return i.alg }

// Sum is the raw hash.
func (i Integrity) Sum() []byte { return []byte(i.sum) }

// Hex is the hash in hex digits.
func (i Integrity) Hex() string { return hex.EncodeToString([]byte(i.sum)) }

// String is `sha256:<hex>`, `sha1:<hex>`, `sha512-<base64>` or `h1:<base64>`; ParseIntegrity reads it back.
func (i Integrity) String() string {
	switch i.alg {
	case "":
		return "-"
	case H1:
		return "h1:" + base64.StdEncoding.EncodeToString([]byte(i.sum))
	case SHA512:
		return "sha512-" + base64.StdEncoding.EncodeToString([]byte(i.sum))
	}
	return string(i.alg) + ":" + i.Hex()
}

// NewHash is the hash function of the algorithm, or nil for H1, which is no function of the byte stream.
func (i Integrity) NewHash() hash.Hash {
	switch i.alg {
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	case SHA384:
		return sha512.New384()
	case SHA1:
		return sha1.New()
	}
	return nil
}

// MarshalText gives the form of String.
func (i Integrity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (i *Integrity) UnmarshalText(b []byte) error {
	if len(b) == 0 || string(b) == "-" {
		*i = Integrity{}
		return nil
	}
	v, err := ParseIntegrity(string(b))
	if err == nil {
		*i = v
	}
	return err
}

// Ecosystem is the world that an artifact comes from; each has its own registries and its own way to name files.
type Ecosystem string

// The ecosystems that hewn knows.
const (
	PyPI   Ecosystem = "pypi"
	NPM    Ecosystem = "npm"
	Go     Ecosystem = "go"
	Crates Ecosystem = "crates"
	Debian Ecosystem = "debian"
	Maven  Ecosystem = "maven"
	Git    Ecosystem = "git"
	URL    Ecosystem = "url"
)

// Artifact is one file that a lock names. It is found by ecosystem, name, version and file name at whatever origin the
// user has, and accepted by its integrity alone.
type Artifact struct {
	Ecosystem Ecosystem `json:"ecosystem"`
	Name      string    `json:"name"`              // "lxml", "@lit/task", "golang.org/x/mod", "libc6", "org.example:tool"
	Version   string    `json:"version,omitempty"` // as the ecosystem writes it
	File      string    `json:"file"`              // the file's own name: "lxml-6.0.2.tar.gz", "v0.42.0.zip"
	Path      string    `json:"path,omitempty"`    // below the origin's root where the ecosystem has such a path (Debian's pool path)
	URL       string    `json:"url,omitempty"`     // as the lock has it; a host ending in .example is an identity and is never dialled
	Integrity Integrity `json:"integrity"`
	Size      int64     `json:"size,omitempty"` // 0: not known
}

// String is what a person calls the artifact.
func (a Artifact) String() string {
	if a.Version == "" {
		return a.Name
	}
	return a.Name + " " + a.Version
}

// GitRef is a commit in a git repository.
type GitRef struct {
	Repo   string `json:"repo"`   // alias form "upstream:goauthentik/authentik", or a URL
	Rev    string `json:"rev"`    // tag, branch or commit that a person wrote
	Commit string `json:"commit"` // the commit that Rev was when it was pinned: 40 (or 64) hex digits
	Subdir string `json:"subdir,omitempty"`
}
