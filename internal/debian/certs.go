package debian

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/pem"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/tree"
)

// certificates makes the bundle of trusted certificates that nearly every program reads, and Java's key store with
// the same content. OpenSSL finds the bundle by way of /usr/lib/ssl/cert.pem, so there are no links named by hash.
func (c *completion) certificates() {
	var names []string
	c.crts("usr/share/ca-certificates", &names)
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	var bundle bytes.Buffer
	var certs []javaCert
	for _, name := range names {
		b := c.read(name)
		bundle.Write(bytes.TrimRight(b, "\n"))
		bundle.WriteByte('\n')
		if block, _ := pem.Decode(b); block != nil && block.Type == "CERTIFICATE" {
			certs = append(certs, javaCert{alias: "debian:" + strings.ToLower(strings.TrimSuffix(path.Base(name), ".crt")) + ".pem", der: block.Bytes})
		}
	}
	c.file("etc/ssl/certs/ca-certificates.crt", bundle.Bytes())
	if c.leads("usr/lib/ssl") {
		c.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
	}
	if c.leads("usr/lib/jvm") {
		c.file("etc/ssl/certs/java/cacerts", keyStore(certs))
	}
}

// crts collects the certificate files below a directory.
func (c *completion) crts(dir string, out *[]string) {
	for _, e := range c.list(dir) {
		switch p := dir + "/" + e.Name; {
		case e.Kind == tree.KindDir:
			c.crts(p, out)
		case strings.HasSuffix(e.Name, ".crt"):
			*out = append(*out, p)
		}
	}
}

type javaCert struct {
	alias string
	der   []byte
}

// keyStore writes trusted certificates in Java's own format "JKS", which every JRE reads as a trust store: version 2,
// protected against accidents by a SHA-1 over the usual password, a fixed phrase and the content. Written here rather
// than by a JRE in an action because it takes no time and is the same every time: keytool puts the date in.
func keyStore(certs []javaCert) []byte {
	const password = "changeit" // the one that every JRE assumes; it guards nothing
	var b bytes.Buffer
	u32 := func(n int) { _ = binary.Write(&b, binary.BigEndian, uint32(n)) }
	text := func(s string) { _ = binary.Write(&b, binary.BigEndian, uint16(len(s))); b.WriteString(s) }
	u32(0xFEEDFEED)
	u32(2)
	u32(len(certs))
	for _, c := range certs {
		u32(2) // a trusted certificate
		text(c.alias)
		_ = binary.Write(&b, binary.BigEndian, uint64(action.SourceDateEpoch)*1000)
		text("X.509")
		u32(len(c.der))
		b.Write(c.der)
	}
	h := sha1.New()
	for _, r := range utf16.Encode([]rune(password)) {
		_ = binary.Write(h, binary.BigEndian, r)
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(b.Bytes())
	return h.Sum(b.Bytes())
}
