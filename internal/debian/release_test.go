package debian

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var made = time.Date(2026, 10, 30, 8, 0, 0, 0, time.UTC)

// at is a configuration whose clock stands at t.
func at(t time.Time) *packet.Config {
	return &packet.Config{Time: func() time.Time { return t }, Algorithm: packet.PubKeyAlgoEdDSA}
}

func newKey(t testing.TB, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	c := at(made.AddDate(-1, 0, 0))
	c.KeyLifetimeSecs = uint32(lifetime / time.Second)
	e, err := openpgp.NewEntity("archive", "", "archive@debian.example", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t testing.TB, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func sign(t testing.TB, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&b, private, at(made))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// releaseText is a Release file that vouches for files.
func releaseText(suite, codename string, files map[string][]byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: Debian\nSuite: %s\nCodename: %s\nDate: Fri, 30 Oct 2026 08:00:00 UTC\nValid-Until: Fri, 06 Nov 2026 08:00:00 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 00 1 main/x\nSHA256:\n", suite, codename)
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(&b, " %x %d %s\n", sha256.Sum256(files[name]), len(files[name]), name)
	}
	return b.String()
}

func TestOpenRelease(t *testing.T) {
	good, other, old := newKey(t, 0), newKey(t, 0), newKey(t, 24*time.Hour)
	text := releaseText("testing", "forky", map[string][]byte{"main/binary-amd64/Packages": []byte("x")})
	now := made.Add(time.Hour)
	tampered := bytes.Replace(sign(t, text, good), []byte("Suite: testing"), []byte("Suite: stable "), 1)
	for _, c := range []struct {
		name string
		raw  []byte
		ring []byte
		ok   bool
	}{
		{"signed", sign(t, text, good), public(t, good), true},
		{"second of two signatures is known", sign(t, text, other, good), public(t, good), true},
		{"first of two keys has run out", sign(t, text, old, good), public(t, old, good), true},
		{"keyring of several", sign(t, text, good), public(t, other, good), true},
		{"unknown key", sign(t, text, other), public(t, good), false},
		{"key has run out", sign(t, text, old), public(t, old), false},
		{"tampered", tampered, public(t, good), false},
		{"not signed", []byte(text), public(t, good), false},
		{"empty", nil, public(t, good), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := readKeyring(c.ring)
			if err != nil {
				t.Fatal(err)
			}
			r, err := openRelease(c.raw, keys, now)
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if c.ok && (!r.byHash || r.codename != "forky" || len(r.files) != 1 || !r.date.Equal(made)) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// Text around the signed part must not be read.
func TestOpenReleaseIgnoresWhatIsNotSigned(t *testing.T) {
	key := newKey(t, 0)
	evil := strings.Repeat("0", 64)
	raw := append([]byte("Suite: evil\nSHA256:\n "+evil+" 1 main/binary-amd64/Packages\n"), sign(t, releaseText("testing", "forky", map[string][]byte{"a": nil}), key)...)
	raw = append(raw, "SHA256:\n "+evil+" 1 b\n"...)
	r, err := openRelease(raw, openpgp.EntityList{key}, made)
	if err != nil || r.suite != "testing" || len(r.files) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestReadKeyringArmoured(t *testing.T) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(public(t, newKey(t, 0)))
	_ = w.Close()
	if keys, err := readKeyring(b.Bytes()); err != nil || len(keys) != 1 {
		t.Error(len(keys), err)
	}
	two := append(append(bytes.Clone(b.Bytes()), '\n'), b.Bytes()...)
	if keys, err := readKeyring(append(Dearmor(two), public(t, newKey(t, 0))...)); err != nil || len(keys) != 3 {
		t.Error(len(keys), err)
	}
	for _, bad := range [][]byte{nil, []byte("garbage"), make([]byte, maxKeyring+1)} {
		if _, err := readKeyring(bad); err == nil {
			t.Error("accepted")
		}
	}
}

func TestReleaseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no date":    "SHA256:\n " + strings.Repeat("0", 64) + " 1 a\n",
		"no files":   "Date: Fri, 30 Oct 2026 08:00:00 UTC\n",
		"bad date":   "Date: yesterday\n",
		"short hash": "Date: Fri, 30 Oct 2026 08:00:00 UTC\nSHA256:\n 00 1 a\n",
		"long hash":  "Date: Fri, 30 Oct 2026 08:00:00 UTC\nSHA256:\n " + strings.Repeat("0", 66) + " 1 a\n",
		"bad size":   "Date: Fri, 30 Oct 2026 08:00:00 UTC\nSHA256:\n " + strings.Repeat("0", 64) + " -1 a\n",
		"two fields": "Date: Fri, 30 Oct 2026 08:00:00 UTC\nSHA256:\n a b\n",
	} {
		if _, err := parseRelease([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCheckAge(t *testing.T) {
	r := &release{date: made, validUntil: made.AddDate(0, 0, 7)}
	for _, c := range []struct {
		name string
		days int
		max  time.Duration
		ok   bool
	}{
		{"within Valid-Until", 6, 0, true},
		{"after Valid-Until", 8, 0, false},
		{"any age", 5000, -1, true},
		{"within the limit, after Valid-Until", 20, 30 * 24 * time.Hour, true},
		{"over the limit, before Valid-Until", 2, 24 * time.Hour, false},
	} {
		if err := r.checkAge(made.AddDate(0, 0, c.days), c.max); (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if err := (&release{date: made}).checkAge(made.AddDate(9, 0, 0), 0); err != nil {
		t.Errorf("without Valid-Until: %v", err)
	}
}

func TestAnswersTo(t *testing.T) {
	r := &release{suite: "testing", codename: "forky"}
	if !r.answersTo("testing") || !r.answersTo("forky") || r.answersTo("stable") || r.answersTo("unstable") {
		t.Error("wrong suites")
	}
}

func FuzzRelease(f *testing.F) {
	f.Add([]byte(releaseText("testing", "forky", map[string][]byte{"a": nil})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRelease(raw)
		if err == nil && (len(r.files) == 0 || r.date.IsZero()) {
			t.Error("a release without content was accepted")
		}
		if _, err := openRelease(raw, nil, made); err == nil {
			t.Error("accepted without a key")
		} else if errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}
