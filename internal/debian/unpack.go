package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// debUnpack makes a tree of one package: what it ships, at canonical places (below /usr where Debian has merged a
// directory into it), and its control file as /var/lib/dpkg/status.d/NAME, by which scanners and bills of materials
// know packages in images without dpkg. No maintainer script is run or kept.
var debUnpack = engine.NativeDef{Name: "deb-unpack", Version: 1, Run: runUnpack}

const (
	statusDir  = "var/lib/dpkg/status.d"
	maxControl = 4 << 20 // of control.tar, unpacked; the largest scripts have under 100 kB
)

// unpackParams is what the key of an unpacking hangs on besides the package.
type unpackParams struct {
	Docs bool `json:"docs,omitempty"` // keep documentation and translations
}

func runUnpack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p unpackParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	d, err := c.Store.Directory(ctx, c.Inputs[0])
	if err != nil {
		return tree.Tree{}, err
	}
	if len(d.Files) != 1 {
		return tree.Tree{}, fmt.Errorf("a package is one file, got %d", len(d.Files))
	}
	f := d.Files[0]
	r, err := c.Store.Open(ctx, f.Digest)
	if err != nil {
		return tree.Tree{}, err
	}
	defer r.Close()
	t, err := unpackDeb(ctx, r, c.Store, p)
	if err != nil {
		var prob *diag.Problem
		if errors.As(err, &prob) {
			return tree.Tree{}, diag.Inputf("deb-unpack", "cannot unpack %s", f.Name).Because(err)
		}
		return tree.Tree{}, fmt.Errorf("unpack %s: %w", f.Name, err)
	}
	return t, nil
}

// unpackDeb reads a .deb: an ar of `debian-binary`, `control.tar.*` and `data.tar.*`, in that order.
func unpackDeb(ctx context.Context, r io.Reader, st store.Store, p unpackParams) (tree.Tree, error) {
	var control []byte
	var data tree.Tree
	err := archive.ReadAr(r, func(name string, _ int64, r io.Reader) (err error) {
		switch {
		case name == "debian-binary":
			v, err := io.ReadAll(io.LimitReader(r, 64))
			if err == nil && !bytes.HasPrefix(v, []byte("2.")) {
				err = diag.Inputf("deb-format", "unknown package format %q", v)
			}
			return err
		case strings.HasPrefix(name, "control.tar") && control == nil:
			control, err = readControl(ctx, r, name)
		case strings.HasPrefix(name, "data.tar") && data.IsZero():
			data, err = unpackData(ctx, r, name, st, p)
		}
		return err
	})
	if err != nil {
		return tree.Tree{}, err
	}
	if control == nil || data.IsZero() {
		return tree.Tree{}, diag.Inputf("deb-format", "the file has no control.tar or no data.tar")
	}
	name := controlField(control, "Package")
	if !validName(name) {
		return tree.Tree{}, diag.Inputf("deb-format", "the control file names the package %q", name)
	}
	cd, err := st.Put(ctx, control)
	if err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	if err := errors.Join(b.Tree("", data), b.File(statusDir+"/"+name, cd, false)); err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, st)
}

func unpackData(ctx context.Context, r io.Reader, name string, st store.Store, p unpackParams) (tree.Tree, error) {
	plain, err := archive.Decompress(r, name)
	if err != nil {
		return tree.Tree{}, err
	}
	defer plain.Close()
	return archive.Tar(ctx, plain, st, archive.Options{Absolute: true, Map: p.place})
}

// place says where a path of a package goes. The links /bin, /lib and so on, which base-files ships, are left out, and
// so are the directories /var/run and /var/lock, which its script replaces by links: completing the root sets them.
func (p unpackParams) place(s string) (string, bool) {
	if merged(s) || s == "var/run" || s == "var/lock" {
		return "", false
	}
	s = canonical(s)
	return s, p.Docs || !documentation(s)
}

// documentation says whether a path is one of those that Debian's own slim images leave out: nothing runs by them.
// Copyright files stay.
func documentation(p string) bool {
	rest, ok := strings.CutPrefix(p, "usr/share/")
	if !ok {
		return false
	}
	dir, below, _ := strings.Cut(rest, "/")
	switch dir {
	case "man", "info", "groff", "lintian", "linda", "bug", "doc-base":
		return true
	case "locale":
		return below != "" && below != "locale.alias"
	case "doc":
		return below != "" && strings.Contains(below, "/") && path.Base(below) != "copyright"
	case "postgresql": // the one package with manuals in a place of its own: 3 MB of them
		_, in, _ := strings.Cut(below, "/")
		return in == "man" || strings.HasPrefix(in, "man/")
	}
	return false
}

// readControl gives the control file of a control.tar.
func readControl(ctx context.Context, r io.Reader, name string) ([]byte, error) {
	plain, err := archive.Decompress(r, name)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	var found []byte
	err = archive.WalkTar(ctx, io.LimitReader(plain, maxControl), func(path string, r io.Reader) error {
		if path == "control" {
			found, err = io.ReadAll(r)
			return err
		}
		return nil
	})
	return found, err
}

// controlField gives a field of a control file, its lines joined by spaces; "" where there is none.
func controlField(control []byte, name string) string {
	var out []string
	in := false
	for line := range strings.SplitSeq(string(control), "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if in {
				out = append(out, strings.TrimSpace(line))
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		if in = strings.EqualFold(key, name); in {
			out = append(out, strings.TrimSpace(value))
		}
	}
	return strings.Join(out, " ")
}
