package debian

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
)

// A file list says which package has which file, for the files that a failing build can miss: headers, libraries,
// pkg-config and CMake files, commands. `hewn update` makes it of an archive's index of files, and the hints of a build
// that failed are looked up in it. It has the lines of that index, without sections: `path package,package`.

const (
	maxFileIndex  = 256 << 20 // compressed; Debian's has 13 MB for one architecture
	maxFilePlain  = 4 << 30   // unpacked; Debian's has 180 MB
	maxFileLine   = 64 << 10
	fileListAge   = 30 * 24 * time.Hour // names of headers seldom move from one package to another
	fileListStart = "files-"
)

// UpdateFiles brings the file lists in dir up to date: those of the suites that have answered this Resolver, or of the
// first that it would ask. One that is younger than a month stays. Packages of architecture `all` are in an index of
// their own, three times as large and with hardly a header in it; it is left alone.
func (r *Resolver) UpdateFiles(ctx context.Context, dir, arch string) error {
	r.mu.Lock()
	suites := slices.Clone(r.used)
	r.mu.Unlock()
	if len(suites) == 0 {
		suites = append(slices.Clone(r.Suites), DefaultSuites...)[:1]
	}
	for _, suite := range suites {
		if !validName(strings.ReplaceAll(suite, "/", "-")) {
			continue
		}
		name := filepath.Join(dir, fileListStart+strings.ReplaceAll(suite, "/", "-")+"-"+arch+".gz")
		if st, err := os.Stat(name); err == nil && r.Now().Sub(st.ModTime()) < fileListAge {
			continue
		}
		if err := r.updateFileList(ctx, name, suite, arch); err != nil {
			return fmt.Errorf("list of files of suite %s: %w", suite, err)
		}
	}
	return nil
}

func (r *Resolver) updateFileList(ctx context.Context, name, suite, arch string) error {
	endpoints, err := r.Endpoints.For(ctx, "debian")
	if err != nil {
		return err
	}
	var first error
	for _, e := range endpoints {
		err := r.fileListFrom(ctx, e, name, suite, arch)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first == nil && !errors.Is(err, fetch.ErrGone) {
			first = err
		}
	}
	return first // an archive without an index of files is no fault
}

func (r *Resolver) fileListFrom(ctx context.Context, e origin.Endpoint, name, suite, arch string) error {
	rel, err := r.release(ctx, e, suite)
	if err != nil {
		return err
	}
	index := "main/Contents-" + arch + ".gz"
	f, ok := rel.files[index]
	if !ok {
		return fetch.ErrGone
	}
	if f.size > maxFileIndex {
		return fmt.Errorf("%s has %d bytes, more than the limit of %d", index, f.size, maxFileIndex)
	}
	var worst error
	for _, url := range indexURLs(distOf(e, suite), index, rel.byHash, f) {
		in, err := r.Getter.Open(ctx, e, url)
		if err == nil {
			err = writeFileList(name, in, index, f)
			_ = in.Close()
		}
		if err == nil {
			return nil
		}
		worst = worse(worst, err)
	}
	return worst
}

// writeFileList makes a file list of an archive's index. Nothing is left behind unless the index is the one that the
// release vouches for.
func writeFileList(name string, in io.Reader, index string, f indexFile) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(name), ".files-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	sum := sha256.New()
	checked := io.TeeReader(io.LimitReader(in, f.size+1), sum)
	plain, err := archive.Decompress(checked, index)
	if err != nil {
		return err
	}
	defer plain.Close()
	zw := gzip.NewWriter(out)
	if err := filterFiles(zw, plain); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, checked); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != f.sum {
		return fmt.Errorf("%s is not the file that the signed index names (SHA256 %x)", index, f.sum)
	}
	if err := errors.Join(zw.Close(), out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), name)
}

// filterFiles writes those lines of an index of files that tell of what a build can miss.
func filterFiles(w io.Writer, r io.Reader) error {
	br := bufio.NewReaderSize(io.LimitReader(r, maxFilePlain), maxFileLine)
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		p, packages, ok := fileLine(line)
		if !ok || kindOf(p) == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s %s\n", p, packages); err != nil {
			return err
		}
	}
}

// fileLine takes a line apart into a canonical path and names of packages, separated by commas.
func fileLine(line []byte) (p string, packages string, ok bool) {
	line = bytes.TrimRight(line, "\r\n\t ")
	i := bytes.LastIndexAny(line, " \t")
	if i <= 0 || !wantedPlace(line) {
		return "", "", false
	}
	var names []string
	for name := range bytes.SplitSeq(line[i+1:], []byte(",")) {
		if j := bytes.LastIndexByte(name, '/'); j >= 0 { // the section
			name = name[j+1:]
		}
		if validName(string(name)) {
			names = append(names, string(name))
		}
	}
	p = canonical(strings.TrimRight(string(line[:i]), " \t"))
	return p, strings.Join(names, ","), len(names) > 0
}

// wantedPlace sorts out at once what is most of an index.
func wantedPlace(line []byte) bool {
	return !bytes.HasPrefix(line, []byte("usr/share/")) || bytes.Contains(line, []byte("/pkgconfig/")) || bytes.Contains(line, []byte(".cmake"))
}

// Kinds of files that a build can miss.
const (
	kindHeader    = "header"
	kindLibrary   = "library" // for the linker or the dynamic linker, and the objects that start a program
	kindPkgConfig = "pkg-config"
	kindCMake     = "cmake"
	kindCommand   = "command"
)

// kindOf says what a path is; empty for what nobody asks for.
func kindOf(p string) string {
	dir, base := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	lib := dir == "usr/lib" || strings.HasPrefix(dir, "usr/lib/") && strings.HasSuffix(dir, "-linux-gnu"+abi(dir)) && strings.Count(dir, "/") == 2
	switch {
	case strings.HasPrefix(p, "usr/include/"):
		return kindHeader
	case dir == "usr/bin" || dir == "usr/sbin":
		return kindCommand
	case strings.HasSuffix(base, ".pc") && path.Base(dir) == "pkgconfig":
		return kindPkgConfig
	case strings.HasSuffix(base, "Config.cmake") || strings.HasSuffix(base, "-config.cmake"):
		return kindCMake
	case lib && strings.HasPrefix(base, "lib") && (strings.Contains(base, ".so") || strings.HasSuffix(base, ".a")):
		return kindLibrary
	case lib && strings.HasSuffix(base, ".o"):
		return kindLibrary
	}
	return ""
}

// abi is what some architectures have behind `-linux-gnu` in the name of their library directory.
func abi(dir string) string {
	_, after, _ := strings.Cut(dir, "-linux-gnu")
	return after
}

// fileLists gives the readable file lists of an architecture, the newest first.
func fileLists(dir, arch string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, fileListStart+"*-"+arch+".gz"))
	age := func(name string) time.Time {
		st, err := os.Stat(name)
		if err != nil {
			return time.Time{}
		}
		return st.ModTime()
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(age(b).UnixNano(), age(a).UnixNano()) })
	return found
}
