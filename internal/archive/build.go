package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

const (
	maxPath = 4096 // Linux PATH_MAX
	maxName = 255  // Linux NAME_MAX
	// smallFile is what is read into memory and handed to another goroutine: with inFlight of them at most 4 MiB an
	// archive are waiting to be hashed and written while the next entry is decompressed.
	smallFile = 512 << 10
	inFlight  = 8
	maxLinks  = 40 // as in the Linux kernel: more links than this on one path are a loop
)

type kind uint8

const (
	isDir kind = iota
	isFile
	isLink
)

// node is one entry of the tree in the making. Only the goroutine that reads the archive touches nodes; a worker
// writes the digest of its own file, and is waited for before anybody reads it.
type node struct {
	kind     kind
	exec     bool
	digest   *digest.Digest // of a file; shared by hard links
	target   string
	children map[string]*node
}

// builder collects entries into a tree and enforces all limits and refusals.
type builder struct {
	ctx    context.Context
	st     Store
	o      Options
	lim    Limits
	strict bool // a second entry of the same name must be equal
	root   *node
	bytes  atomic.Int64
	nodes  int
	group  *errgroup.Group
	names  map[string]*node // by the path as the archive has it: what hard links refer to
	dups   []dup
}

// dup is a pair that must turn out equal once all digests are known.
type dup struct {
	entry    string
	old, new *node
}

func newBuilder(ctx context.Context, st Store, o Options, strict bool) *builder {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	return &builder{ctx: gctx, st: st, o: o, lim: o.Limits.orDefault(), strict: strict,
		root: &node{children: map[string]*node{}}, group: g, names: map[string]*node{}}
}

// clean gives the path of an entry without `.` and empty names; "" is the root itself.
func (b *builder) clean(name string) (string, error) {
	if len(name) > maxPath || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return "", ErrName
	}
	if strings.HasPrefix(name, "/") && !b.o.Absolute {
		return "", ErrAbsolute
	}
	parts := strings.Split(name, "/")
	kept := parts[:0]
	for _, p := range parts {
		switch {
		case p == "" || p == ".":
			continue
		case p == "..":
			return "", ErrParent
		case len(p) > maxName:
			return "", ErrName
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "/"), nil
}

// place gives the path in the tree for a clean path of the archive; keep is false where the entry is dropped.
func (b *builder) place(p string) (to string, keep bool) {
	for range b.o.Strip {
		_, rest, ok := strings.Cut(p, "/")
		if !ok {
			return "", false
		}
		p = rest
	}
	if b.o.Map == nil || p == "" {
		return p, true
	}
	to, keep = b.o.Map(p)
	return strings.Trim(path.Clean("/"+to), "/"), keep
}

// enter counts an entry and says where it goes. keep is false where it is to be skipped.
func (b *builder) enter(name string) (raw, to string, keep bool, err error) {
	if raw, err = b.clean(name); err != nil {
		return "", "", false, err
	}
	if err := b.count(); err != nil {
		return "", "", false, err
	}
	to, keep = b.place(raw)
	return raw, to, keep, nil
}

// count bounds entries and the directories that they imply, so that deep names cannot multiply.
func (b *builder) count() error {
	if b.nodes++; b.nodes > b.lim.Entries {
		return tooLarge("the number of entries", int64(b.lim.Entries))
	}
	return nil
}

// parent gives the directory in which p lies and p's own name, making directories on the way.
func (b *builder) parent(p string) (*node, string, error) {
	dir := b.root
	for {
		name, rest, more := strings.Cut(p, "/")
		if !more {
			return dir, name, nil
		}
		next := dir.children[name]
		if next == nil {
			if err := b.count(); err != nil {
				return nil, "", err
			}
			next = &node{children: map[string]*node{}}
			dir.children[name] = next
		}
		if next.kind != isDir {
			return nil, "", ErrThrough
		}
		dir, p = next, rest
	}
}

func (b *builder) dir(p string) error {
	if p == "" {
		return nil
	}
	_, _, err := b.parent(p + "/x")
	return err
}

// leaf puts a file or link at p. entry is its name for messages.
func (b *builder) leaf(entry, p string, n *node) error {
	if p == "" {
		return ErrName
	}
	dir, name, err := b.parent(p)
	if err != nil {
		return err
	}
	if old := dir.children[name]; old != nil {
		if old.kind == isDir {
			return ErrDuplicate
		}
		if b.strict {
			b.dups = append(b.dups, dup{entry, old, n})
		}
	}
	dir.children[name] = n
	return nil
}

// link puts a symbolic link at p, which the archive calls raw.
func (b *builder) link(entry, raw, p, target string) error {
	if target == "" || len(target) > maxPath || !utf8.ValidString(target) || strings.ContainsRune(target, 0) {
		return ErrName
	}
	if b.o.Absolute {
		target = b.relocate(raw, p, target)
	} else if strings.HasPrefix(target, "/") {
		return ErrEscape
	}
	n := &node{kind: isLink, target: target}
	b.names[raw] = n
	return b.leaf(entry, p, n)
}

// relocate gives the target of a link, which the archive has at from and the tree at to, so that it means the same
// place: made relative if it was absolute or if link or target went elsewhere, else left as it was written.
func (b *builder) relocate(from, to, target string) string {
	abs := target
	if !strings.HasPrefix(target, "/") {
		abs = path.Join("/", path.Dir(from), target)
	}
	abs = strings.Trim(path.Clean(abs), "/")
	dest := abs
	if b.o.Map != nil && abs != "" {
		if mapped, keep := b.o.Map(abs); keep {
			dest = strings.Trim(path.Clean("/"+mapped), "/")
		}
	}
	if !strings.HasPrefix(target, "/") && from == to && dest == abs {
		return target
	}
	return Relative(path.Dir("/"+to), "/"+dest)
}

// Relative gives the text of a link in directory dir (absolute, clean) that leads to the absolute clean path to.
func Relative(dir, to string) string {
	d, t := split(dir), split(to)
	n := 0
	for n < len(d) && n < len(t) && d[n] == t[n] {
		n++
	}
	parts := slices.Concat(slices.Repeat([]string{".."}, len(d)-n), t[n:])
	if len(parts) == 0 {
		return "."
	}
	return strings.Join(parts, "/")
}

func split(p string) []string {
	if p = strings.Trim(p, "/"); p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// charge counts size bytes of content against the limits.
func (b *builder) charge(size int64) error {
	if size < 0 {
		return fmt.Errorf("%w: negative size", ErrMalformed)
	}
	if size > b.lim.File {
		return tooLarge("the file", b.lim.File)
	}
	if b.bytes.Add(size) > b.lim.Bytes {
		return tooLarge("all files together", b.lim.Bytes)
	}
	return nil
}

// file reads size bytes from r, which is the archive's own stream, and keeps them. Small files are hashed and written
// by workers while the caller goes on.
func (b *builder) file(r io.Reader, size int64) (*digest.Digest, error) {
	d := new(digest.Digest)
	if size > smallFile {
		got, err := b.ingest(&exactReader{r: r, left: size})
		*d = got
		return d, err
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	b.group.Go(func() (err error) {
		*d, err = b.st.Put(b.ctx, buf)
		return err
	})
	return d, nil
}

// ingest keeps what r gives and tells a failed read, which is the archive's fault, from a failed write.
func (b *builder) ingest(r io.Reader) (digest.Digest, error) {
	t := &ReadTracker{R: r}
	d, err := b.st.Ingest(b.ctx, t)
	if t.Err != nil {
		return d, t.Err
	}
	if err != nil {
		err = storeError{err}
	}
	return d, err
}

// ReadTracker remembers the error of its reader, so that a broken stream can be told from a store that cannot be written.
type ReadTracker struct {
	R   io.Reader
	Err error // other than io.EOF
}

// Read implements io.Reader.
func (t *ReadTracker) Read(p []byte) (int, error) {
	n, err := t.R.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Err = err
	}
	return n, err
}

// fail waits for the workers and gives the error that came first: a failed worker cancels b.ctx, and err may be
// only what the reader met because of that.
func (b *builder) fail(err error) error {
	if werr := b.group.Wait(); werr != nil && errors.Is(err, context.Canceled) {
		return werr
	}
	return err
}

// exactReader gives exactly left bytes and fails where the stream ends before.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; e.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// finish waits for all content, checks what could not be checked before and writes the directories.
func (b *builder) finish(ctx context.Context) (tree.Tree, error) {
	if err := b.group.Wait(); err != nil {
		return tree.Tree{}, err
	}
	for _, d := range b.dups {
		if !same(d.old, d.new) {
			return tree.Tree{}, refuse(d.entry, ErrDuplicate)
		}
	}
	if !b.o.Absolute {
		if err := b.checkLinks(b.root, nil); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.write(ctx, b.root)
}

func same(a, c *node) bool {
	if a.kind != c.kind || a.exec != c.exec || a.target != c.target {
		return false
	}
	return a.kind != isFile || *a.digest == *c.digest
}

// checkLinks refuses links that lead out of the tree, also by way of other links, which no look at the text alone
// would show.
func (b *builder) checkLinks(dir *node, at []string) error {
	for _, name := range sortedNames(dir) {
		n := dir.children[name]
		switch {
		case n.kind == isDir:
			if err := b.checkLinks(n, append(at, name)); err != nil {
				return err
			}
		case n.kind == isLink && b.escapes(at, n.target):
			return refuse(strings.Join(append(at, name), "/"), ErrEscape)
		}
	}
	return nil
}

// escapes follows target from the directory at as a file system would.
func (b *builder) escapes(at []string, target string) bool {
	cur, todo := slices.Clone(at), strings.Split(target, "/")
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(cur) == 0 {
				return true
			}
			cur = cur[:len(cur)-1]
			continue
		}
		if n := b.find(cur); n != nil && n.kind == isDir {
			if l := n.children[name]; l != nil && l.kind == isLink {
				if links++; links > maxLinks || len(todo) > maxPath {
					return false // a loop leads nowhere
				}
				if strings.HasPrefix(l.target, "/") {
					return true
				}
				todo = slices.Concat(strings.Split(l.target, "/"), todo)
				continue
			}
		}
		cur = append(cur, name)
	}
	return false
}

func (b *builder) find(at []string) *node {
	n := b.root
	for _, name := range at {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

func sortedNames(dir *node) []string {
	names := make([]string, 0, len(dir.children))
	for name := range dir.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *builder) write(ctx context.Context, dir *node) (tree.Tree, error) {
	d := &tree.Directory{}
	for _, name := range sortedNames(dir) {
		switch n := dir.children[name]; n.kind {
		case isFile:
			d.Files = append(d.Files, tree.File{Name: name, Digest: *n.digest, Executable: n.exec})
		case isLink:
			d.Links = append(d.Links, tree.Link{Name: name, Target: n.target})
		case isDir:
			t, err := b.write(ctx, n)
			if err != nil {
				return tree.Tree{}, err
			}
			d.Dirs = append(d.Dirs, tree.Dir{Name: name, Tree: t})
		}
	}
	return b.st.PutDirectory(ctx, d)
}

// readTarget reads the target of a link that an archive stores as content.
func readTarget(r io.Reader) (string, error) {
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, maxPath+1))
	if err == nil && n > maxPath {
		err = ErrName
	}
	return buf.String(), err
}
