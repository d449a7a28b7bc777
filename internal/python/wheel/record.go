package wheel

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/digest"
)

// row is a line of RECORD: a path and the hash that its content must have, empty where none is given.
type row struct{ path, hash, size string }

func parseRecord(b []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(lines))
	for i, l := range lines {
		if len(l) == 0 || l[0] == "" {
			return nil, fmt.Errorf("line %d names no file", i+1)
		}
		l = append(l, "", "")
		rows = append(rows, row{path: l[0], hash: l[1], size: l[2]})
	}
	return rows, nil
}

// ours is the row of a file that is in the store.
func ours(path string, d digest.Digest) row {
	sum := d.Hash()
	return row{path: path, hash: "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), size: strconv.FormatInt(d.Size(), 10)}
}

func formatRecord(rows []row) []byte {
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, r := range rows {
		_ = w.Write([]string{r.path, r.hash, r.size}) // a Buffer takes everything
	}
	w.Flush()
	return b.Bytes()
}

// sum is a hash of RECORD taken apart.
type sum struct {
	alg string
	raw []byte
}

func parseSum(s string) (sum, error) {
	alg, text, ok := strings.Cut(s, "=")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if !ok || err != nil {
		return sum{}, fmt.Errorf("%q is not a hash", s)
	}
	alg = strings.ToLower(alg)
	h := newHash(alg)
	if h == nil {
		return sum{}, fmt.Errorf("hashes of kind %q are not accepted", alg)
	}
	// Some tools write hexadecimal digits, which are base64 as well, but of more bytes than the hash has.
	if hexed, err := hex.DecodeString(text); err == nil && len(hexed) == h.Size() {
		raw = hexed
	}
	return sum{alg, raw}, nil
}

// newHash is nil for what PEP 376 and its successors do not accept (md5, sha1) or nobody uses.
func newHash(alg string) hash.Hash {
	switch alg {
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}
