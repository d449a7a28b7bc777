package source

import (
	"crypto/sha512"
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseIntegrity(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	hex := strings.Repeat("00", 32)
	for _, c := range []struct {
		text string
		want Algorithm
		err  string
	}{
		{"sha256:" + hex, SHA256, ""},
		{"sha512-" + b64(64), SHA512, ""},
		{"sha384-" + b64(48), SHA384, ""},
		{"sha1-" + b64(20) + " sha512-" + b64(64) + " sha384-" + b64(48), SHA512, ""},
		{"sha1-" + b64(20) + "?option", SHA1, ""},
		{"h1:" + b64(32), H1, ""},
		{"md5-" + b64(16) + " sha1-" + b64(20), SHA1, ""},
		{"md5-" + b64(16), "", "`md5` is no hash that is checked here"},
		{"sha256:12", "", "1 bytes are no sha256"},
		{"sha512-" + b64(64) + " sha1-" + b64(19), "", "19 bytes are no sha1"},
		{"sha512-!", "", "not a hash"},
		{hex, "", "no algorithm in front"},
		{"", "", "want `sha256:<hex>`"},
	} {
		got, err := ParseIntegrity(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || got.Algorithm() != c.want {
			t.Errorf("%s: %s, %v, want %s", c.text, got.Algorithm(), err, c.want)
		}
		if back, err := ParseIntegrity(got.String()); err != nil || back != got {
			t.Errorf("%s: comes back as %s, %v", got, back, err)
		}
	}
	i, _ := ParseIntegrity("sha384-" + b64(48))
	if h := i.NewHash(); h == nil || h.Size() != sha512.Size384 {
		t.Error("there is no such hash function")
	}
}
