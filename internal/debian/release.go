package debian

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const (
	maxRelease    = 4 << 20  // Debian's own has 150 kB
	maxKeyring    = 16 << 20 // all of a machine together; those of Debian have 200 kB
	maxSignatures = 16
)

// release is what a signed InRelease file says.
type release struct {
	suite, codename string
	date            time.Time
	validUntil      time.Time // zero: not said
	byHash          bool
	files           map[string]indexFile
}

// indexFile is a file that a release vouches for.
type indexFile struct {
	sum  [sha256.Size]byte
	size int64
}

// Reasons for which an index is not trusted.
var (
	errUnsigned     = errors.New("no signature on it can be verified with the keyring")
	errNotClearsign = errors.New("it is not an inline-signed document")
)

// readKeyring reads OpenPGP public keys, binary or armoured.
func readKeyring(b []byte) (openpgp.EntityList, error) {
	if len(b) > maxKeyring {
		return nil, fmt.Errorf("keyring has %d bytes, more than the limit of %d", len(b), maxKeyring)
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(Dearmor(b)))
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("the keyring is empty")
	}
	return keys, nil
}

// Dearmor gives the binary form of OpenPGP keys, so that keyrings can be put behind each other whatever their form.
// What is not armoured is given back as it is.
func Dearmor(b []byte) []byte {
	const begin = "-----BEGIN PGP"
	blocks := bytes.Split(b, []byte(begin))
	if len(blocks) == 1 {
		return b
	}
	var out bytes.Buffer
	for _, rest := range blocks[1:] { // one by one, since the decoder reads ahead
		block, err := armor.Decode(io.MultiReader(strings.NewReader(begin), bytes.NewReader(rest)))
		if err == nil {
			_, err = out.ReadFrom(block.Body)
		}
		if err != nil {
			break
		}
	}
	return out.Bytes()
}

// openRelease verifies an InRelease document and reads it. Only signed bytes are looked at. One good signature of a
// key in the keyring is enough: archives sign with several keys, some of which may have run out or be unknown here.
func openRelease(b []byte, keys openpgp.EntityList, now time.Time) (*release, error) {
	block, _ := clearsign.Decode(b)
	if block == nil {
		return nil, errNotClearsign
	}
	if err := verify(block, keys, now); err != nil {
		return nil, err
	}
	return parseRelease(block.Plaintext)
}

func verify(block *clearsign.Block, keys openpgp.EntityList, now time.Time) error {
	config := &packet.Config{Time: func() time.Time { return now }}
	packets := packet.NewReader(block.ArmoredSignature.Body)
	var last error
	for range maxSignatures {
		p, err := packets.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				last = err
			}
			break
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			continue
		}
		var one bytes.Buffer
		if err := sig.Serialize(&one); err != nil {
			return err
		}
		if _, _, err = openpgp.VerifyDetachedSignature(keys, bytes.NewReader(block.Bytes), &one, config); err == nil {
			return nil
		}
		last = err
	}
	if last == nil {
		return errUnsigned
	}
	return fmt.Errorf("%w: %w", errUnsigned, last)
}

func parseRelease(text []byte) (*release, error) {
	r := &release{files: map[string]indexFile{}}
	section := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.HasPrefix(line, " ") {
			if section == "SHA256" {
				if err := r.addFile(line); err != nil {
					return nil, err
				}
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		section = key
		var err error
		switch key {
		case "Suite":
			r.suite = value
		case "Codename":
			r.codename = value
		case "Acquire-By-Hash":
			r.byHash = value == "yes"
		case "Date":
			r.date, err = parseDate(value)
		case "Valid-Until":
			r.validUntil, err = parseDate(value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if r.date.IsZero() || len(r.files) == 0 {
		return nil, errors.New("it has no Date or no SHA256 section")
	}
	return r, nil
}

func (r *release) addFile(line string) error {
	f := strings.Fields(line)
	if len(f) != 3 {
		return fmt.Errorf("SHA256: want `hash size path`, got %q", line)
	}
	var v indexFile
	sum, err := hex.DecodeString(f[0])
	if err != nil || copy(v.sum[:], sum) != sha256.Size || len(sum) != sha256.Size {
		return fmt.Errorf("SHA256: %q is no hash", f[0])
	}
	if v.size, err = strconv.ParseInt(f[1], 10, 64); err != nil || v.size < 0 {
		return fmt.Errorf("SHA256: %q is no size", f[1])
	}
	r.files[f[2]] = v
	return nil
}

// parseDate reads the RFC 1123 form that archives use, with UTC, GMT or +0000 at its end.
func parseDate(s string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST"} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}

// answersTo says whether the release is that of the suite that was asked for. A mirror that serves another suite's
// signed index under this name would otherwise go unnoticed.
func (r *release) answersTo(suite string) bool {
	return suite == r.suite || suite == r.codename || suite == "unstable" && r.codename == "sid"
}

// checkAge says why the release is too old: after its own Valid-Until where maxAge is 0, else older than maxAge.
// A negative maxAge accepts any age.
func (r *release) checkAge(now time.Time, maxAge time.Duration) error {
	day := func(t time.Time) string { return t.Format("2006-01-02 15:04 MST") }
	switch {
	case maxAge < 0:
		return nil
	case maxAge > 0 && now.Sub(r.date) > maxAge:
		return fmt.Errorf("it was made on %s, longer than %s ago", day(r.date), maxAge)
	case maxAge == 0 && !r.validUntil.IsZero() && now.After(r.validUntil):
		return fmt.Errorf("it was valid until %s", day(r.validUntil))
	}
	return nil
}
