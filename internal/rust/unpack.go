package rust

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// unpackDef turns a .crate file into a package's directory as `cargo vendor` leaves it: without git's own files,
// and with the checksums of all others.
var unpackDef = engine.NativeDef{Name: "crate-unpack", Version: 1, Run: unpack}

type unpackParams struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Sum     string `json:"sum"` // SHA-256 of the .crate file, in hex
}

// checksumFile is what cargo compares a vendored package with.
const checksumFile = ".cargo-checksum.json"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// vendored says whether `cargo vendor` keeps a file of a package. Git's own files would change what git makes of the
// others, if somebody commits the vendor directory.
func vendored(p string) bool {
	if strings.Contains("/"+p+"/", "/.git/") || p == ".cargo-ok" || p == checksumFile {
		return false
	}
	name := path.Base(p)
	return name != ".gitattributes" && name != ".gitignore"
}

func unpack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p unpackParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 1 {
		return tree.Tree{}, fmt.Errorf("crate-unpack: want one input, got %d", len(c.Inputs))
	}
	in, err := c.Store.Directory(ctx, c.Inputs[0])
	if err != nil {
		return tree.Tree{}, err
	}
	if len(in.Files) != 1 {
		return tree.Tree{}, fmt.Errorf("crate-unpack: the input has %d files, want one", len(in.Files))
	}
	raw, err := c.Store.Open(ctx, in.Files[0].Digest)
	if err != nil {
		return tree.Tree{}, err
	}
	defer raw.Close()
	u := unpacker{ctx: ctx, store: c.Store, prefix: p.Name + "-" + p.Version, files: files{}}
	if err := u.archive(raw, in.Files[0].Name); err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return tree.Tree{}, err
		}
		return tree.Tree{}, diag.Inputf("archive-broken", "cannot unpack crate `%s`", in.Files[0].Name).Because(err)
	}
	return u.files.tree(ctx, c.Store, p.Sum, u.dirs)
}

// files is a package's directory in the making.
type files map[string]file

type file struct {
	digest digest.Digest
	exec   bool
}

// tree adds the checksums. The store's digests are SHA-256 as well, so that nothing is read again.
func (f files) tree(ctx context.Context, s store.Store, sum string, dirs []string) (tree.Tree, error) {
	b := tree.NewBuilder()
	sums := make(map[string]string, len(f))
	for _, p := range sortedKeys(f) {
		sums[p] = f[p].digest.Hex()
		if err := b.File(p, f[p].digest, f[p].exec); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, p := range dirs {
		if err := b.Dir(p); err != nil {
			return tree.Tree{}, err
		}
	}
	d, err := s.Put(ctx, checksums(sums, sum))
	if err != nil {
		return tree.Tree{}, err
	}
	if err := b.File(checksumFile, d, false); err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, s)
}

type unpacker struct {
	ctx    context.Context
	store  store.Store
	prefix string // the one directory at the archive's top
	files  files
	dirs   []string
	limits archive.Limits
}

func (u *unpacker) archive(raw io.Reader, name string) error {
	plain, err := archive.Decompress(raw, name)
	if err != nil {
		return err
	}
	defer plain.Close()
	return archive.EachEntry(u.ctx, plain, u.store, u.limits, u.entry)
}

func (u *unpacker) entry(h *tar.Header, keep archive.Keep) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if strings.ContainsRune(h.Name, 0) || !utf8.ValidString(h.Name) {
		return archive.ErrName
	}
	if strings.HasPrefix(h.Name, "/") {
		return archive.ErrAbsolute
	}
	if strings.Contains("/"+h.Name+"/", "/../") {
		return archive.ErrParent
	}
	p := path.Clean(h.Name)
	to, ok := strings.CutPrefix(p, u.prefix+"/")
	if !ok && p != u.prefix {
		return fmt.Errorf("is not below `%s`, as all of a crate must be", u.prefix)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if ok && vendored(to) {
			u.dirs = append(u.dirs, to)
		}
		return nil
	case tar.TypeReg:
	default:
		return errors.New("is neither a file nor a directory, which no registry accepts in a crate")
	}
	if !ok {
		return archive.ErrName
	}
	if !vendored(to) || path.Base(to) == ".cargo-ok" { // the latter is cargo's mark of what it has unpacked
		return nil
	}
	d, err := keep()
	u.files[to] = file{d, h.Mode&0o100 != 0}
	return err
}
