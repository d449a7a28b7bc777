// Package wheeltest makes small wheels for tests.
package wheeltest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Head is the content of a WHEEL file.
const Head = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

// Entry is a file of a wheel.
type Entry struct {
	Text string
	Mode fs.FileMode // besides 0644
}

// Pack makes a wheel of files with the metadata directory info ("demo-1.0.dist-info"). RECORD lists everything, unless
// the files bring one.
func Pack(info string, files map[string]Entry) []byte {
	var record strings.Builder
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(name string, e Entry) {
		h := &zip.FileHeader{Name: name}
		h.SetMode(e.Mode | 0o644)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.Text))
		}
		if err != nil {
			panic("wheeltest: a buffer refused " + name + ": " + err.Error())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		e := files[name]
		sum := sha256.Sum256([]byte(e.Text))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(e.Text))
		add(name, e)
	}
	if _, own := files[info+"/RECORD"]; !own {
		add(info+"/RECORD", Entry{Text: record.String() + info + "/RECORD,,\n"})
	}
	if err := w.Close(); err != nil {
		panic("wheeltest: " + err.Error())
	}
	return b.Bytes()
}

// Pure is a wheel of name and version with files and nothing else of interest. Its file name is
// `<name>-<version>-py3-none-any.whl`.
func Pure(name, version string, files map[string]string) []byte {
	info := name + "-" + version + ".dist-info"
	all := map[string]Entry{
		info + "/WHEEL":    {Text: Head},
		info + "/METADATA": {Text: "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
	}
	for p, text := range files {
		all[p] = Entry{Text: text}
	}
	return Pack(info, all)
}
