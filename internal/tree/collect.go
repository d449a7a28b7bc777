package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/digest"
)

// Sink is where Collect puts what it finds.
type Sink interface {
	Dirs
	Put(ctx context.Context, b []byte) (digest.Digest, error)
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, error)
}

// FileTaker is a Sink that can take a file of the host over instead of copying it.
type FileTaker interface {
	IngestFile(ctx context.Context, path string) (digest.Digest, error)
}

// CollectOptions says how to collect.
type CollectOptions struct {
	// Ignore, if set, leaves a path (slash-separated, relative to the directory) out, with all that is below it. It is
	// called from many goroutines.
	Ignore func(path string, isDir bool) bool
	// Move lets the sink take the files away from the directory, if it is a FileTaker. What remains of the directory is
	// of no use then.
	Move bool
}

// UnsupportedFileError says that a directory of the host holds what a tree cannot.
type UnsupportedFileError struct {
	Path string // on the host
	Why  string
}

// Error names the path.
func (e *UnsupportedFileError) Error() string { return e.Path + ": " + e.Why }

// Collect gives the tree of a directory of the host, whose files go to sink. Names that are not UTF-8, devices, sockets
// and pipes are refused; of modes only "somebody may execute it" is kept.
func Collect(ctx context.Context, dir string, sink Sink, opts ...CollectOptions) (Tree, error) {
	c := newCollector(sink, opts)
	st, err := os.Lstat(dir)
	if err != nil {
		return Tree{}, err
	}
	if !st.IsDir() {
		return Tree{}, &UnsupportedFileError{dir, "not a directory"}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	c.group = g
	root := &collected{}
	g.Go(func() error { return c.dir(ctx, dir, "", root) })
	if err := g.Wait(); err != nil {
		return Tree{}, err
	}
	return root.put(ctx, sink)
}

// CollectFile gives the digest of one file of the host, and whether somebody may execute it. It follows no link.
func CollectFile(ctx context.Context, path string, sink Sink, opts ...CollectOptions) (Entry, error) {
	c := newCollector(sink, opts)
	st, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	if !st.Mode().IsRegular() {
		return Entry{}, &UnsupportedFileError{path, "not a regular file"}
	}
	f := File{Name: filepath.Base(path), Executable: st.Mode()&0o111 != 0}
	if err := c.file(ctx, path, &f); err != nil {
		return Entry{}, err
	}
	return Entry{Name: f.Name, Kind: KindFile, Digest: f.Digest, Executable: f.Executable}, nil
}

type collector struct {
	CollectOptions
	sink  Sink
	taker FileTaker
	group *errgroup.Group
}

func newCollector(sink Sink, opts []CollectOptions) *collector {
	c := &collector{sink: sink}
	for _, o := range opts {
		c.CollectOptions = o
	}
	if t, ok := sink.(FileTaker); ok && c.Move {
		c.taker = t
	}
	return c
}

// collected is a directory that is being filled: each goroutine writes to places of its own.
type collected struct {
	d    Directory
	subs []*collected // in the order of d.Dirs
}

func (c *collected) put(ctx context.Context, sink Sink) (Tree, error) {
	for i, sub := range c.subs {
		t, err := sub.put(ctx, sink)
		if err != nil {
			return Tree{}, err
		}
		c.d.Dirs[i].Tree = t
	}
	return sink.PutDirectory(ctx, &c.d)
}

func (c *collector) dir(ctx context.Context, dir, rel string, out *collected) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := c.readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		p, relName := filepath.Join(dir, name), rel+name
		if err := CheckName(name); err != nil {
			return &UnsupportedFileError{p, "the name is not UTF-8, which a tree cannot hold"}
		}
		if c.Ignore != nil && c.Ignore(relName, e.IsDir()) {
			continue
		}
		switch {
		case e.IsDir():
			out.d.Dirs = append(out.d.Dirs, Dir{Name: name})
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err == nil {
				err = checkTarget(p, target)
			}
			if err != nil {
				return err
			}
			out.d.Links = append(out.d.Links, Link{Name: name, Target: target})
		case e.Type().IsRegular():
			st, err := e.Info()
			if err != nil {
				return err
			}
			out.d.Files = append(out.d.Files, File{Name: name, Executable: st.Mode()&0o111 != 0})
		default:
			return &UnsupportedFileError{p, fmt.Sprintf("a %s, which a tree cannot hold", typeName(e.Type()))}
		}
	}
	out.subs = make([]*collected, len(out.d.Dirs))
	for i, sub := range out.d.Dirs {
		out.subs[i] = &collected{}
		err := c.spawn(func() error { return c.dir(ctx, filepath.Join(dir, sub.Name), rel+sub.Name+"/", out.subs[i]) })
		if err != nil {
			return err
		}
	}
	for part := range slices.Chunk(out.d.Files, 32) {
		if err := c.spawn(func() error { return c.files(ctx, dir, part) }); err != nil {
			return err
		}
	}
	return nil
}

// spawn runs f in another goroutine if there is one to be had, else here.
func (c *collector) spawn(f func() error) error {
	if c.group.TryGo(f) {
		return nil
	}
	return f()
}

func (c *collector) files(ctx context.Context, dir string, files []File) error {
	for i := range files {
		if err := c.file(ctx, filepath.Join(dir, files[i].Name), &files[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) file(ctx context.Context, path string, f *File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	if c.taker != nil {
		f.Digest, err = c.taker.IngestFile(ctx, path)
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	f.Digest, err = c.sink.Ingest(ctx, in)
	if err != nil {
		err = fmt.Errorf("ingest %s: %w", path, err)
	}
	return err
}

// readDir lists a directory in the order of names. What may be moved away is ours: an action can have left directories
// there without the permission to read them.
func (c *collector) readDir(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) && c.Move && os.Chmod(dir, 0o700) == nil {
		f, err = os.Open(dir)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func typeName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
