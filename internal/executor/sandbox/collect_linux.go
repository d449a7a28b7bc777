package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// collector finds the outputs of an action that has ended: what is in the upper directory, and below it the input root.
// The two are combined as the overlay did, by reading whiteouts and opaque marks, so that nothing of an input is read.
type collector struct {
	store store.Store
	upper string // directory of the host; for a copied root the root itself
	lower bool   // whether what is not in upper comes from the input root
	ctx   context.Context
	files []written
}

// written is a file that was written and is yet to be brought into the store.
type written struct {
	to   *found
	at   string
	info fs.FileInfo
}

// fileIngester is a store that can take a file over without copying it.
type fileIngester interface {
	IngestFile(ctx context.Context, path string) (digest.Digest, error)
}

// found is one entry of the result. A file that was written gets its digest later, from ingestAll.
type found struct {
	entry   tree.Entry
	entries []*found // of a directory that is not simply that of the input root
}

// collect gives the tree of all outputs at their paths, or those that are missing.
func (c *collector) collect(ctx context.Context, input tree.Tree, outputs []string) (tree.Tree, []string, error) {
	if len(outputs) == 0 {
		return tree.Empty, nil, nil
	}
	c.ctx = ctx
	all := make([]*found, len(outputs))
	var missing []string
	var err error
	for i, o := range outputs {
		if all[i], err = c.output(input, o); err != nil {
			return tree.Tree{}, nil, err
		}
		if all[i] == nil {
			missing = append(missing, o)
		}
	}
	if len(missing) > 0 {
		return tree.Tree{}, missing, nil // nothing has been taken away: the root may be kept
	}
	if err := c.ingestAll(ctx); err != nil {
		return tree.Tree{}, nil, err
	}
	b := tree.NewBuilder()
	for i, o := range outputs {
		e, err := c.keep(all[i])
		if err != nil {
			return tree.Tree{}, nil, err
		}
		switch e.Kind {
		case tree.KindDir:
			err = b.Tree(o, e.Tree)
		case tree.KindLink:
			err = b.Link(o, e.Target)
		default:
			err = b.File(o, e.Digest, e.Executable)
		}
		if err != nil {
			return tree.Tree{}, nil, err
		}
	}
	t, err := b.Build(ctx, c.store)
	return t, nil, err
}

// output finds one declared output; nil means that it is not there.
func (c *collector) output(input tree.Tree, output string) (*found, error) {
	low := &tree.Entry{Kind: tree.KindDir, Tree: input}
	if !c.lower {
		low = nil
	}
	at := c.upper
	names := strings.Split(strings.TrimPrefix(output, "/"), "/")
	for i, name := range names {
		var err error
		if low, err = c.below(low, name); err != nil {
			return nil, err
		}
		if at != "" {
			at += "/" + name
			info, err := os.Lstat(at)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				at = ""
			case err != nil:
				return nil, err
			case isWhiteout(info):
				return nil, nil
			case i == len(names)-1:
			case info.Mode()&fs.ModeSymlink != 0:
				return nil, behindLink(output, "/"+path.Join(names[:i+1]...))
			case !info.IsDir():
				return nil, nil
			default:
				if err := c.enter(at, info); err != nil {
					return nil, err
				}
				if c.opaque(at) {
					low = nil
				}
			}
		}
		if at == "" && low == nil {
			return nil, nil
		}
		if at == "" && low.Kind == tree.KindLink && i < len(names)-1 {
			return nil, behindLink(output, "/"+path.Join(names[:i+1]...))
		}
	}
	if at == "" {
		return &found{entry: *low}, nil
	}
	return c.visit(at, output, low)
}

func behindLink(output, link string) error {
	return diag.Failf("output-behind-link", "output `%s` lies behind the symbolic link `%s`", output, link).
		Hint("declare the output at the place that the link leads to")
}

// below gives the input root's entry of a name in a directory of it, nil if there is none.
func (c *collector) below(low *tree.Entry, name string) (*tree.Entry, error) {
	if low == nil || low.Kind != tree.KindDir {
		return nil, nil
	}
	d, err := c.store.Directory(c.ctx, low.Tree)
	if err != nil {
		return nil, fmt.Errorf("read the input root: %w", err)
	}
	if e, ok := d.Entry(name); ok {
		return &e, nil
	}
	return nil, nil
}

// visit looks at what is in the upper directory at host path at, which is shown to people as name.
func (c *collector) visit(at, name string, low *tree.Entry) (*found, error) {
	info, err := os.Lstat(at)
	if err != nil {
		return nil, err
	}
	if err := tree.CheckName(path.Base(at)); err != nil {
		return nil, diag.Failf("output-name", "output %q cannot be kept", name).Because(err)
	}
	f := &found{entry: tree.Entry{Name: path.Base(at)}}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		f.entry.Kind, f.entry.Executable = tree.KindFile, mode&0o100 != 0
		c.files = append(c.files, written{f, at, info})
	case mode&fs.ModeSymlink != 0:
		f.entry.Kind = tree.KindLink
		f.entry.Target, err = os.Readlink(at)
	case mode.IsDir():
		err = c.visitDir(f, at, name, info, low)
	default:
		return nil, diag.Failf("output-kind", "output `%s` is a %s, which a tree cannot hold", name, kindName(mode)).
			Hint("remove it at the end of the command, or declare narrower outputs")
	}
	return f, err
}

func kindName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	}
	return "device"
}

func (c *collector) visitDir(f *found, at, name string, info fs.FileInfo, low *tree.Entry) error {
	f.entry.Kind = tree.KindDir
	f.entries = []*found{}
	if err := c.enter(at, info); err != nil {
		return err
	}
	if low != nil && (low.Kind != tree.KindDir || c.opaque(at)) {
		low = nil
	}
	list, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	if low != nil && len(list) == 0 {
		f.entry.Tree, f.entries = low.Tree, nil
		return nil
	}
	lower := &tree.Directory{}
	if low != nil {
		if lower, err = c.store.Directory(c.ctx, low.Tree); err != nil {
			return fmt.Errorf("read the input root: %w", err)
		}
	}
	over := make(map[string]bool, len(list))
	for _, e := range list {
		over[e.Name()] = true
		if e.Type()&fs.ModeCharDevice != 0 {
			if info, err := e.Info(); err == nil && isWhiteout(info) {
				continue
			}
		}
		var below *tree.Entry
		if e, ok := lower.Entry(e.Name()); ok {
			below = &e
		}
		child, err := c.visit(at+"/"+e.Name(), name+"/"+e.Name(), below)
		if err != nil {
			return err
		}
		f.entries = append(f.entries, child)
	}
	for _, e := range lower.Entries() {
		if !over[e.Name] {
			f.entries = append(f.entries, &found{entry: e})
		}
	}
	return c.ctx.Err()
}

// ingestAll brings all files that were written into the store.
func (c *collector) ingestAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for _, w := range c.files {
		group.Go(func() error { return c.ingest(ctx, w) })
	}
	return group.Wait()
}

func (c *collector) ingest(ctx context.Context, w written) (err error) {
	if w.info.Mode()&0o400 == 0 {
		if err := os.Chmod(w.at, 0o600|w.info.Mode()&0o111); err != nil {
			return err
		}
	}
	if s, ok := c.store.(fileIngester); ok {
		w.to.entry.Digest, err = s.IngestFile(ctx, w.at)
		return err
	}
	file, err := os.OpenFile(w.at, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	w.to.entry.Digest, err = c.store.Ingest(ctx, file)
	return err
}

// keep stores the directories of what was found, from below.
func (c *collector) keep(f *found) (tree.Entry, error) {
	if f.entry.Kind != tree.KindDir || f.entries == nil {
		return f.entry, nil
	}
	slices.SortFunc(f.entries, func(a, b *found) int { return strings.Compare(a.entry.Name, b.entry.Name) })
	d := &tree.Directory{}
	for _, child := range f.entries {
		e, err := c.keep(child)
		if err != nil {
			return e, err
		}
		switch e.Kind {
		case tree.KindFile:
			d.Files = append(d.Files, tree.File{Name: e.Name, Digest: e.Digest, Executable: e.Executable})
		case tree.KindLink:
			d.Links = append(d.Links, tree.Link{Name: e.Name, Target: e.Target})
		case tree.KindDir:
			d.Dirs = append(d.Dirs, tree.Dir{Name: e.Name, Tree: e.Tree})
		}
	}
	t, err := c.store.PutDirectory(c.ctx, d)
	f.entry.Tree = t
	return f.entry, err
}

// enter makes a directory readable for its owner, whatever mode the action left it with.
func (c *collector) enter(at string, info fs.FileInfo) error {
	if info.Mode()&0o700 == 0o700 {
		return nil
	}
	return os.Chmod(at, 0o700)
}

// opaqueMark is on directories of an upper directory that hide the layers below, as overlays in user namespaces write it.
const opaqueMark = "user.overlay.opaque"

// opaque says that a directory of the upper hides the input's directory of the same path.
func (c *collector) opaque(at string) bool {
	if !c.lower {
		return true
	}
	var b [1]byte
	n, err := unix.Lgetxattr(at, opaqueMark, b[:])
	return err == nil && n == 1 && b[0] == 'y'
}

// isWhiteout says that an entry of the upper directory stands for a removed entry of the inputs.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}
