package node

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// unpackDef turns an npm tarball into the package's folder as npm leaves it: the first path component is dropped, links
// and empty directories are left out, a lone .gitignore becomes .npmignore, commands are executable and have no carriage
// return in their first line.
var unpackDef = engine.NativeDef{Name: "npm-unpack", Version: 2, Run: unpack}

type unpackParams struct {
	File      string   `json:"file,omitempty"`      // the tarball in the input; empty: the input's only file
	Integrity string   `json:"integrity,omitempty"` // of a File: nothing has checked it before
	Bins      []string `json:"bins,omitempty"`      // files of the package that are linked as commands, sorted
	// Manifest: what the package.json calls commands is executable as well, linked or not. npm does so where it has
	// looked at the manifest before, which is where the lock does not say where the package comes from.
	Manifest bool `json:"manifest,omitempty"`
	// Bundles: the package brings others; of them the ones at Bundled (paths like "node_modules/a") are wanted.
	Bundles bool     `json:"bundles,omitempty"`
	Bundled []string `json:"bundled,omitempty"`
	// OwnBins and BundledBins ask for the commands of package.json, for locks that do not list them: its own, and those
	// of the packages that it brings in its node_modules.
	OwnBins     bool `json:"ownBins,omitempty"`
	BundledBins bool `json:"bundledBins,omitempty"`
	// What pnpm does otherwise: a .gitignore keeps its name, and from pnpm 12 on a command its carriage return.
	KeepNames bool `json:"keepNames,omitempty"`
	KeepCR    bool `json:"keepCR,omitempty"`
}

// maxBin bounds a command whose first line has to be mended: such scripts are written by hand.
const maxBin = 16 << 20

type packed struct {
	digest digest.Digest
	exec   bool
}

func unpack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p unpackParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	name, d, err := tarball(ctx, c, p.File)
	if err != nil {
		return tree.Tree{}, err
	}
	if err := verify(ctx, c.Store, d, name, p.Integrity); err != nil {
		return tree.Tree{}, err
	}
	raw, err := c.Store.Open(ctx, d)
	if err != nil {
		return tree.Tree{}, err
	}
	defer raw.Close()
	plain, err := archive.Decompress(raw, name)
	if err != nil {
		return tree.Tree{}, broken(name, err)
	}
	defer plain.Close()

	u := unpacker{ctx: ctx, store: c.Store, files: map[string]packed{}, keepNames: p.KeepNames}
	if err := archive.EachEntry(ctx, plain, c.Store, archive.Limits{}, u.entry); err != nil {
		return tree.Tree{}, broken(name, err)
	}
	return u.finish(name, p)
}

// finish does to the files of a package what npm does after unpacking it.
func (u *unpacker) finish(name string, p unpackParams) (tree.Tree, error) {
	if p.Bundles {
		u.dropStrays(p.Bundled)
	}
	if p.Manifest {
		bins, err := manifestBins(u.ctx, u.store, u.files)
		if err != nil {
			return tree.Tree{}, err
		}
		for _, b := range bins {
			if f, ok := u.files[b]; ok {
				u.files[b] = packed{f.digest, true}
			}
		}
	}
	own, err := u.ownBins(p)
	if err != nil {
		return tree.Tree{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, bin := range slices.Concat(p.Bins, own) {
		if err := u.fixBin(bin, p.KeepCR); err != nil {
			return tree.Tree{}, fmt.Errorf("%s: %s: %w", name, bin, err)
		}
	}
	return u.tree()
}

// dropStrays removes packages that came within the tarball although nothing wants them.
func (u *unpacker) dropStrays(bundled []string) {
	at := map[string]bool{"": true}
	for _, b := range bundled {
		at[b] = true
	}
	for f := range u.files {
		rest, dir := f, ""
		for at[dir] && strings.HasPrefix(rest, "node_modules/") {
			n := 2
			if strings.HasPrefix(rest, "node_modules/@") {
				n = 3
			}
			e := strings.SplitN(rest, "/", n+1)
			if len(e) <= n {
				break // a file that lies loose in node_modules
			}
			if dir, rest = path.Join(dir, path.Join(e[:n]...)), e[n]; !at[dir] {
				delete(u.files, f)
			}
		}
	}
}

// verify compares a file of the project with the lock; what was fetched has been compared already.
func verify(ctx context.Context, s store.Blobs, d digest.Digest, name, integrity string) error {
	if integrity == "" {
		return nil
	}
	want, err := source.ParseIntegrity(integrity)
	if err != nil {
		return err
	}
	h := want.NewHash()
	if h == nil {
		return fmt.Errorf("%s: %s is no hash of a tarball", name, want)
	}
	r, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if got, err := source.NewIntegrity(want.Algorithm(), h.Sum(nil)); err != nil || got != want {
		return diag.Inputf("hash-mismatch", "`%s` is not what is locked", name).
			With("expected:  "+want.String(), "got:       "+got.String()).
			Hint("if the file is right, lock it anew: `npm install --package-lock-only`")
	}
	return nil
}

func broken(name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return diag.Inputf("archive-broken", "cannot unpack npm package `%s`", name).Because(err)
}

// tarball finds the file to unpack in the step's input.
func tarball(ctx context.Context, c engine.NativeCall, file string) (string, digest.Digest, error) {
	if len(c.Inputs) != 1 {
		return "", digest.Digest{}, fmt.Errorf("npm-unpack: want one input, got %d", len(c.Inputs))
	}
	if file != "" {
		e, err := tree.Lookup(ctx, c.Store, c.Inputs[0], file)
		if err == nil && e.Kind != tree.KindFile {
			err = fmt.Errorf("%s is no file", file)
		}
		return file, e.Digest, err
	}
	dir, err := c.Store.Directory(ctx, c.Inputs[0])
	if err != nil {
		return "", digest.Digest{}, err
	}
	if len(dir.Files) != 1 {
		return "", digest.Digest{}, fmt.Errorf("npm-unpack: the input has %d files, want one", len(dir.Files))
	}
	return dir.Files[0].Name, dir.Files[0].Digest, nil
}

type unpacker struct {
	ctx   context.Context
	store store.Store
	files map[string]packed

	keepNames bool
}

func (u *unpacker) entry(h *tar.Header, keep archive.Keep) error {
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return nil // npm leaves out links and whatever else a package cannot hold
	}
	if strings.HasPrefix(h.Name, "/") {
		return archive.ErrAbsolute
	}
	_, rest, ok := strings.Cut(h.Name, "/")
	if !ok {
		return nil
	}
	if strings.Contains("/"+rest+"/", "/../") {
		return archive.ErrParent
	}
	if strings.ContainsRune(rest, 0) || !utf8.ValidString(rest) {
		return archive.ErrName
	}
	to := strings.TrimPrefix(path.Clean("/"+rest), "/")
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	if to == "" {
		return archive.ErrName
	}
	if path.Base(to) == ".gitignore" && !u.keepNames {
		// What npm packs had its .gitignore read as .npmignore where there was no other.
		ignore := strings.TrimSuffix(to, ".gitignore") + ".npmignore"
		if _, saw := u.files[ignore]; saw {
			return nil
		}
		to = ignore
	}
	d, err := keep()
	if err != nil {
		return err
	}
	u.files[to] = packed{d, h.Mode&0o111 != 0}
	return nil
}

var windowsHashBang = regexp.MustCompile(`^(#![^\n]+)\r\n`)

// fixBin does to a command what npm does when it links it.
func (u *unpacker) fixBin(bin string, keepCR bool) (err error) {
	f, ok := u.files[bin]
	if !ok {
		return nil // npm links nothing then
	}
	f.exec = true
	if !keepCR {
		if f.digest, err = mendHashBang(u.ctx, u.store, f.digest); err != nil {
			return err
		}
	}
	u.files[bin] = f
	return nil
}

// mendHashBang takes the carriage return away from a script's first line.
func mendHashBang(ctx context.Context, s store.Blobs, d digest.Digest) (digest.Digest, error) {
	if d.Size() > maxBin {
		return d, nil
	}
	b, err := store.ReadBlob(ctx, s, d, maxBin)
	if err != nil || !bytes.HasPrefix(b, []byte("#!")) || !windowsHashBang.Match(b[:min(len(b), 2048)]) {
		return d, err
	}
	return s.Put(ctx, windowsHashBang.ReplaceAll(b, []byte("$1\n")))
}

func (u *unpacker) tree() (tree.Tree, error) {
	b := tree.NewBuilder()
	for _, p := range slices.Sorted(maps.Keys(u.files)) {
		if err := b.File(p, u.files[p].digest, u.files[p].exec); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(u.ctx, u.store)
}
