// Package pyindex makes small Python packages and an index that serves them, for tests and for the scripts that record
// what other installers do with the same packages. The bytes of a package depend on its content only: nothing is
// compressed, so that they are the same with every version of Go.
package pyindex

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

// Tiny is the source of a build backend that packs what lies below `wheel/`. Every sdist has it as `tiny.py`, and its
// pyproject.toml names it in BuildSystem.
//
//go:embed tiny.py
var Tiny string

// Asking is the source of a build backend on top of Tiny that asks for more when its hook is called.
//
//go:embed asking.py
var Asking string

// BuildSystem is the table of a pyproject.toml that builds with Tiny.
const BuildSystem = "[build-system]\nrequires = []\nbuild-backend = \"tiny\"\nbackend-path = [\".\"]\n"

// Uploaded is the time at which the index says that every file was uploaded.
const Uploaded = "2026-01-02T03:04:05Z"

// Pack makes the package of a file name: a wheel, or an sdist as .tar.gz or .zip, with what metadata files lacks. Files
// that begin with `#!` are executable.
func Pack(file string, files map[string]string) []byte {
	all := maps.Clone(files)
	if all == nil {
		all = map[string]string{}
	}
	if stem, ok := strings.CutSuffix(file, ".whl"); ok {
		return zipped(wheelFiles(stem, all))
	}
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".tar.gz"), ".zip")
	inner := map[string]string{}
	for p, text := range sdistFiles(stem, all) {
		inner[stem+"/"+p] = text
	}
	if strings.HasSuffix(file, ".zip") {
		return zipped(inner)
	}
	return tarred(inner)
}

func add(files map[string]string, name, text string) {
	if _, ok := files[name]; !ok {
		files[name] = text
	}
}

func wheelFiles(stem string, files map[string]string) map[string]string {
	f := strings.Split(stem, "-")
	info := f[0] + "-" + f[1] + ".dist-info"
	for p := range files { // a case may spell it in another way
		if dir, _, _ := strings.Cut(p, "/"); strings.HasSuffix(dir, ".dist-info") {
			info = dir
		}
	}
	add(files, info+"/METADATA", "Metadata-Version: 2.1\nName: "+f[0]+"\nVersion: "+f[1]+"\n")
	add(files, info+"/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: "+strings.Join(f[len(f)-3:], "-")+"\n")
	var record strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[name]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
	}
	add(files, info+"/RECORD", record.String()+info+"/RECORD,,\n")
	return files
}

func sdistFiles(stem string, files map[string]string) map[string]string {
	i := strings.LastIndexByte(stem, '-')
	name, version := stem[:i], stem[i+1:]
	add(files, "PKG-INFO", "Metadata-Version: 2.2\nName: "+name+"\nVersion: "+version+"\n")
	add(files, "pyproject.toml", "[project]\nname = \""+name+"\"\nversion = \""+version+"\"\n"+BuildSystem)
	add(files, "tiny.py", Tiny)
	return files
}

func mode(text string) fs.FileMode {
	if strings.HasPrefix(text, "#!") {
		return 0o755
	}
	return 0o644
}

func zipped(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := []byte(files[name])
		// With sizes in front: an entry that is not compressed cannot be read from a stream otherwise.
		h := &zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(text),
			CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text))}
		h.SetMode(mode(files[name]))
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write(text)
		}
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

func tarred(files map[string]string) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	must(err)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(w.WriteHeader(&tar.Header{Name: name, Mode: int64(mode(files[name])), Size: int64(len(files[name]))}))
		_, err := w.Write([]byte(files[name]))
		must(err)
	}
	must(w.Close())
	must(z.Close())
	return b.Bytes()
}

// must is for writes into a buffer, which takes everything.
func must(err error) {
	if err != nil {
		panic("pyindex: " + err.Error())
	}
}

// Handler serves files (by name) as a simple index at /simple/ and, for direct URLs, below /files/.
func Handler(files map[string][]byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/files/", func(w http.ResponseWriter, r *http.Request) {
		b, ok := files[path.Base(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b) // a client that went away is its own trouble
	})
	mux.HandleFunc("/simple/{project}/", func(w http.ResponseWriter, r *http.Request) {
		page := project(r.PathValue("project"), files)
		if len(page.Files) == 0 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_ = json.NewEncoder(w).Encode(page) // as above
	})
	return mux
}

type pageFile struct {
	Name     string            `json:"filename"`
	URL      string            `json:"url"`
	Hashes   map[string]string `json:"hashes"`
	Size     int               `json:"size"`
	Uploaded string            `json:"upload-time"`
}

type page struct {
	Meta  map[string]string `json:"meta"`
	Name  string            `json:"name"`
	Files []pageFile        `json:"files"`
}

func project(name string, files map[string][]byte) page {
	p := page{Meta: map[string]string{"api-version": "1.1"}, Name: name}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if Project(file) != name {
			continue
		}
		p.Files = append(p.Files, pageFile{
			Name: file, URL: "../../files/" + file, Size: len(files[file]), Uploaded: Uploaded,
			Hashes: map[string]string{"sha256": fmt.Sprintf("%x", sha256.Sum256(files[file]))},
		})
	}
	return p
}

// Project is the normalised name of the project that a file belongs to.
func Project(file string) string {
	var name string
	if strings.HasSuffix(file, ".whl") {
		name, _, _ = strings.Cut(file, "-")
	} else {
		name = file[:max(0, strings.LastIndexByte(file, '-'))]
	}
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}
