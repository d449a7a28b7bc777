package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// ApplyOptions says how layers become a tree.
type ApplyOptions struct {
	Limits archive.Limits // of all layers together; zero fields mean DefaultLimits
	// SkipDevices leaves devices and pipes out, which a tree cannot hold. Else they are refused.
	SkipDevices bool
}

// Applied is what layers, one on top of the other, make.
type Applied struct {
	Tree  tree.Tree
	Attrs Attrs // canonical: whatever differs from what a tree has without them
}

// Apply unpacks layers, the lowest first, as the OCI image specification has it: later entries override earlier ones,
// whiteouts remove what lower layers have, hard links become files of the same content. The layers are read from st and
// compared with their digests. Links keep their targets, also absolute ones; where the path of an entry leads through
// one, it is followed in the tree, never out of it. Names with `..` are refused. Extended attributes are lost.
func Apply(ctx context.Context, st Store, layers []Layer, o ApplyOptions) (Applied, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	u := &unpacker{ctx: gctx, st: st, group: g, budget: &budget{orDefault(o.Limits)}, skipDevices: o.SkipDevices,
		root: newDir(0)}
	for i, l := range layers {
		u.layer = i + 1
		if err := u.apply(l); err != nil {
			if werr := g.Wait(); werr != nil {
				err = layerError(l, werr) // which ended gctx, and with it the reading
			}
			return Applied{}, err
		}
	}
	if err := g.Wait(); err != nil {
		return Applied{}, err
	}
	return u.finish(ctx)
}

const (
	maxPath  = 4096 // of Linux
	maxName  = 255  // of Linux
	maxLinks = 40   // more links than this on one path are a loop, as Linux has it

	smallFile = 512 << 10 // what is read into memory, for another goroutine to keep
	inFlight  = 8         // of them
)

// node is one entry of the tree in the making. Digests are written by workers; nobody reads them before all have ended.
type node struct {
	kind     tree.Kind
	exec     bool
	digest   *digest.Digest // of a file; hard links share it
	target   string
	children map[string]*node
	mode     uint32
	uid, gid int
	touched  int // the last layer that wrote it or something below
}

func newDir(layer int) *node {
	return &node{kind: tree.KindDir, mode: 0o755, children: map[string]*node{}, touched: layer}
}

type unpacker struct {
	ctx         context.Context
	st          Store
	group       *errgroup.Group
	budget      *budget
	skipDevices bool
	root        *node
	layer       int // the number of the current layer, from 1
}

func (u *unpacker) apply(l Layer) error {
	r, err := u.st.Open(u.ctx, l.Blob)
	if err != nil {
		return err
	}
	defer r.Close()
	return readLayer(u.ctx, r, l, u.budget, u.entry)
}

// entry takes one entry of the current layer.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	names, err := splitName(h.Name)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("%w: the root is not a directory", archive.ErrMalformed)
		}
		return u.root.attributes(h)
	}
	for _, name := range names[:len(names)-1] {
		if strings.HasPrefix(name, whiteoutMeta) {
			return nil
		}
		if strings.HasPrefix(name, whiteout) {
			return fmt.Errorf("%w: a whiteout is no directory", archive.ErrMalformed)
		}
	}
	dir, last := names[:len(names)-1], names[len(names)-1]
	if hidden, is := strings.CutPrefix(last, whiteout); is {
		return u.whiteout(dir, last, hidden)
	}
	n, err := u.node(h, content)
	if err != nil || n == nil {
		return err
	}
	parent, length, err := u.walk(dir, true)
	if err != nil {
		return err
	}
	if length+len(last) > maxPath {
		return archive.ErrName
	}
	if old := parent.children[last]; old != nil && old.kind == tree.KindDir && n.kind == tree.KindDir {
		n.children = old.children
	}
	parent.children[last] = n
	return nil
}

// node makes the entry itself; nil if it is to be left out.
func (u *unpacker) node(h *tar.Header, content io.Reader) (*node, error) {
	n := &node{touched: u.layer}
	switch h.Typeflag {
	case tar.TypeDir:
		n.kind, n.children = tree.KindDir, map[string]*node{}
	case tar.TypeReg, tar.TypeGNUSparse:
		d, err := u.keep(content, h.Size)
		if err != nil {
			return nil, err
		}
		n.kind, n.digest, n.exec = tree.KindFile, d, h.Mode&0o111 != 0
	case tar.TypeSymlink:
		t := h.Linkname
		if t == "" || len(t) > maxPath || !utf8.ValidString(t) || strings.ContainsRune(t, 0) {
			return nil, fmt.Errorf("%w: the target of the link", archive.ErrName)
		}
		n.kind, n.target = tree.KindLink, t
	case tar.TypeLink:
		return u.hardLink(h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		if u.skipDevices {
			return nil, nil
		}
		return nil, archive.ErrDevice
	default:
		return nil, fmt.Errorf("%w: unknown type %q", archive.ErrMalformed, h.Typeflag)
	}
	return n, n.attributes(h)
}

func (n *node) attributes(h *tar.Header) error {
	if h.Uid < 0 || h.Uid > maxID || h.Gid < 0 || h.Gid > maxID || h.Mode < 0 {
		return fmt.Errorf("%w: owner %d:%d, mode %o", archive.ErrMalformed, h.Uid, h.Gid, h.Mode)
	}
	n.uid, n.gid, n.mode = h.Uid, h.Gid, uint32(h.Mode&0o7777)
	if n.kind == tree.KindLink {
		n.mode = 0o777
	}
	return nil
}

// hardLink gives another name to a file or link that stands in this layer or a lower one.
func (u *unpacker) hardLink(target string) (*node, error) {
	names, err := splitName(target)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, archive.ErrHardLink
	}
	dir, _, err := u.walk(names[:len(names)-1], false)
	if err != nil || dir == nil {
		return nil, errors.Join(archive.ErrHardLink, err)
	}
	old := dir.children[names[len(names)-1]]
	if old == nil || old.kind == tree.KindDir {
		return nil, archive.ErrHardLink
	}
	n := *old
	n.touched = u.layer
	return &n, nil
}

// whiteout removes what lower layers have; what this layer has stays, in whatever order the entries come.
func (u *unpacker) whiteout(dir []string, name, hidden string) error {
	if name != opaque && strings.HasPrefix(name, whiteoutMeta) {
		return nil
	}
	if tree.CheckName(hidden) != nil {
		return fmt.Errorf("%w: a whiteout of nothing", archive.ErrMalformed)
	}
	parent, _, err := u.walk(dir, false)
	if err != nil || parent == nil {
		return err
	}
	if name == opaque {
		u.clear(parent)
		return nil
	}
	if n := parent.children[hidden]; n != nil {
		if n.touched < u.layer {
			delete(parent.children, hidden)
		} else {
			u.clear(n)
		}
	}
	return nil
}

// clear removes everything below a directory that lower layers have.
func (u *unpacker) clear(dir *node) {
	for name, n := range dir.children {
		if n.touched < u.layer {
			delete(dir.children, name)
		} else {
			u.clear(n)
		}
	}
}

// place is a directory on the way of walk.
type place struct {
	*node
	length int // of its path, with a slash at its end
}

// walk gives the directory at a path, following links within the tree, and the length of its path without links. With
// create it makes what is missing, and marks the way as written by this layer; without, it gives nil where nothing is.
func (u *unpacker) walk(names []string, create bool) (dir *node, length int, err error) {
	at := []place{{node: u.root}}
	todo := names
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		cur := at[len(at)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(1, len(at)-1)]
			continue
		}
		n := cur.children[name]
		if n != nil && n.kind == tree.KindLink {
			if links++; links > maxLinks {
				return nil, 0, fmt.Errorf("%w: the links on its path are a loop", archive.ErrThrough)
			}
			if strings.HasPrefix(n.target, "/") {
				at = at[:1]
			}
			todo = append(strings.Split(n.target, "/"), todo...)
			continue
		}
		next := place{n, cur.length + len(name) + 1}
		switch {
		case n != nil && n.kind == tree.KindDir:
		case !create:
			return nil, 0, nil
		case n != nil:
			return nil, 0, fmt.Errorf("%w: `%s` is a file", archive.ErrThrough, name)
		default:
			if next.node, err = u.implied(cur.node, name, next.length); err != nil {
				return nil, 0, err
			}
		}
		at = append(at, next)
	}
	if create {
		for _, p := range at {
			p.touched = u.layer
		}
	}
	last := at[len(at)-1]
	return last.node, last.length, nil
}

// implied makes a directory that has no entry of its own.
func (u *unpacker) implied(parent *node, name string, length int) (*node, error) {
	if length > maxPath || len(name) > maxName {
		return nil, archive.ErrName
	}
	if err := u.budget.entry(0); err != nil {
		return nil, err
	}
	n := newDir(u.layer)
	parent.children[name] = n
	return n, nil
}

// splitName gives the names of an entry's path, relative to the root.
func splitName(p string) ([]string, error) {
	if len(p) > maxPath+1 || !utf8.ValidString(p) || strings.ContainsRune(p, 0) { // one more: directories end in a slash
		return nil, archive.ErrName
	}
	var names []string
	for name := range strings.SplitSeq(p, "/") {
		switch {
		case name == "" || name == ".":
			continue
		case name == "..":
			return nil, archive.ErrParent
		case len(name) > maxName:
			return nil, archive.ErrName
		}
		names = append(names, name)
	}
	return names, nil
}

// keep puts a file into the store; small ones by workers, while the caller goes on.
func (u *unpacker) keep(r io.Reader, size int64) (*digest.Digest, error) {
	d := new(digest.Digest)
	if size > smallFile {
		t := &archive.ReadTracker{R: r}
		got, err := u.st.Ingest(u.ctx, t)
		switch {
		case t.Err != nil:
			return nil, t.Err
		case err != nil:
			return nil, storeError{err}
		case got.Size() != size:
			return nil, archive.ErrTruncated
		}
		*d = got
		return d, nil
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, noEOF(err)
	}
	u.group.Go(func() error {
		got, err := u.st.Put(u.ctx, buf)
		if err != nil {
			return storeError{err}
		}
		*d = got
		return nil
	})
	return d, nil
}
