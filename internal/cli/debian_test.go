package cli_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/rogpeppe/go-internal/testscript"
)

// debianArchive makes an archive with one package: `tiny`, or one of the name, the version and the program in it that
// the arguments give, as NAME VERSION PATH FILE.
func debianArchive(ts *testscript.TestScript, _ bool, args []string) {
	name, version, file, mode, data := "tiny", "1", "usr/share/tiny", int64(0o644), "tiny"
	if len(args) == 4 {
		name, version, file, mode, data = args[0], args[1], args[2], 0o755, ts.ReadFile(args[3])
	}
	gz := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		ts.Check(w.Close())
		return out.Bytes()
	}
	tarball := func(name string, mode int64, content string) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		ts.Check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Mode: mode, Size: int64(len(content))}))
		_, _ = w.Write([]byte(content))
		ts.Check(w.Close())
		return out.Bytes()
	}
	member := func(name string, b []byte) string {
		return fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 0, 0, 0, "100644", len(b), b) + strings.Repeat("\n", len(b)%2)
	}
	control := "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\n"
	deb := "!<arch>\n" + member("debian-binary", []byte("2.0\n")) + member("control.tar.gz", gz(tarball("control", 0o644, control))) +
		member("data.tar.gz", gz(tarball(file, mode, data)))
	put := func(name string, b []byte) {
		name = filepath.Join(ts.MkAbs("www/debian"), name)
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		ts.Check(os.WriteFile(name, b, 0o644))
	}
	pool := "pool/" + name + ".deb"
	put(pool, []byte(deb))
	index := map[string][]byte{"main/binary-amd64/Packages.gz": gz(fmt.Appendf(nil, "%sFilename: %s\nSize: %d\nSHA256: %x\n", control, pool, len(deb), sha256.Sum256([]byte(deb))))}
	if b, err := os.ReadFile(ts.MkAbs("contents")); err == nil {
		index["main/Contents-amd64.gz"] = gz(b)
	}
	release := "Suite: testing\nDate: " + time.Now().UTC().Format(time.RFC1123) + "\nSHA256:\n"
	for name, b := range index {
		release += fmt.Sprintf(" %x %d %s\n", sha256.Sum256(b), len(b), name)
		put("dists/testing/"+name, b)
	}
	key, err := openpgp.NewEntity("test", "", "test@debian.example", nil)
	ts.Check(err)
	var public, signed bytes.Buffer
	ts.Check(key.Serialize(&public))
	w, err := clearsign.Encode(&signed, key.PrivateKey, nil)
	ts.Check(err)
	_, _ = w.Write([]byte(release))
	ts.Check(w.Close())
	put("dists/testing/InRelease", signed.Bytes())
	ts.Check(os.WriteFile(ts.MkAbs("archive.gpg"), public.Bytes(), 0o644))
}
