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
	"syscall"

	"hewn.example/hewn/internal/digest"
)

// Content gives the contents of files.
type Content interface {
	Dirs
	Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
}

// FileCopier is a Content that can make a file of the host cheaper than by reading it, for example by sharing blocks.
// It may never share the inode. The file does not exist yet.
type FileCopier interface {
	CopyTo(ctx context.Context, d digest.Digest, path string, executable bool) error
}

// ForeignFileError says that a directory into which a tree is to be written holds what was not written by an earlier
// checkout.
type ForeignFileError struct{ Path string }

// Error names the path.
func (e *ForeignFileError) Error() string {
	return e.Path + " is in the way: it was not written by an earlier checkout"
}

// CheckoutPlan is what a directory of the host needs in order to hold another tree than it does. Making the plan has
// written nothing.
type CheckoutPlan struct {
	w          checkout
	gone, made []change // parents first
}

// PlanCheckout looks at what must be done to dir, which exists and holds the tree old (zero: nothing), to make it hold
// t: no more than what differs. What the user put there is an error where t needs the place, and else stays; into a
// directory that held no tree, t is only written if that is empty.
func PlanCheckout(ctx context.Context, c Content, old, t Tree, dir string) (*CheckoutPlan, error) {
	p := &CheckoutPlan{w: checkout{c: c, dir: dir}}
	if old.IsZero() {
		old = Empty
		left, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		if len(left) > 0 {
			return nil, &ForeignFileError{filepath.Join(dir, left[0].Name())}
		}
	}
	ours := map[string]bool{}
	var replaced []string // directories in whose place something else comes
	err := Diff(ctx, c, old, t, func(path string, a, b *Entry) error {
		if a != nil {
			p.gone = append(p.gone, change{path, *a})
			ours[path] = true
		}
		if b != nil {
			p.made = append(p.made, change{path, *b})
		}
		if a != nil && b != nil && a.Kind == KindDir {
			replaced = append(replaced, path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range p.made {
		st, err := os.Lstat(p.w.host(m.path))
		if err == nil && !ours[m.path] && !(st.IsDir() && m.entry.Kind == KindDir) {
			return nil, &ForeignFileError{p.w.host(m.path)}
		}
	}
	for _, r := range replaced {
		if err := p.w.onlyOurs(r, ours); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Apply does it. If it fails or is interrupted, the directory holds parts of both trees: ClearCheckout.
func (p *CheckoutPlan) Apply(ctx context.Context) error {
	if err := p.w.unmake(ctx, p.gone); err != nil {
		return err
	}
	for _, m := range p.made {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := p.w.make(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// ClearCheckout removes from dir whatever of the trees is there.
func ClearCheckout(ctx context.Context, c Content, dir string, trees ...Tree) error {
	w := checkout{c: c, dir: dir}
	for _, t := range trees {
		if t.IsZero() {
			continue
		}
		var all []change
		err := Walk(ctx, c, t, func(p string, e Entry) error {
			all = append(all, change{p, e})
			return nil
		})
		if err == nil {
			err = w.unmake(ctx, all)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type change struct {
	path  string
	entry Entry
}

type checkout struct {
	c   Content
	dir string
}

func (w *checkout) host(p string) string { return filepath.Join(w.dir, filepath.FromSlash(p)) }

// onlyOurs says that a directory of the host has only entries that an earlier checkout made.
func (w *checkout) onlyOurs(dir string, ours map[string]bool) error {
	return filepath.WalkDir(w.host(dir), func(p string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(w.dir, p)
		if err == nil && !ours[filepath.ToSlash(rel)] {
			return &ForeignFileError{p}
		}
		return err
	})
}

// unmake removes entries, given parents first. What is of another kind than the entry stays, and so does a directory in
// which something else lies.
func (w *checkout) unmake(ctx context.Context, gone []change) error {
	for _, g := range slices.Backward(gone) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		p := w.host(g.path)
		st, err := os.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) || notDirectory(err) {
			continue
		}
		if err != nil {
			return err
		}
		if st.IsDir() != (g.entry.Kind == KindDir) {
			continue
		}
		if err := os.Remove(p); err != nil && !(st.IsDir() && notEmpty(p)) {
			return err
		}
	}
	return nil
}

// notDirectory says that a name above the path has become a file.
func notDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

func notEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

func (w *checkout) make(ctx context.Context, m change) error {
	p := w.host(m.path)
	var err error
	switch m.entry.Kind {
	case KindDir:
		err = os.Mkdir(p, 0o755)
		if st, e := os.Lstat(p); errors.Is(err, fs.ErrExist) && e == nil && st.IsDir() {
			return nil // the user's own files may lie in it
		}
	case KindLink:
		err = os.Symlink(m.entry.Target, p)
	default:
		err = w.file(ctx, m.entry, p)
	}
	if errors.Is(err, fs.ErrExist) {
		return &ForeignFileError{p}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p, err)
	}
	return nil
}

func (w *checkout) file(ctx context.Context, e Entry, p string) (err error) {
	if c, ok := w.c.(FileCopier); ok {
		return c.CopyTo(ctx, e.Digest, p, e.Executable)
	}
	in, err := w.c.Open(ctx, e.Digest)
	if err != nil {
		return err
	}
	defer in.Close()
	mode := os.FileMode(0o644)
	if e.Executable {
		mode = 0o755
	}
	out, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	_, err = io.Copy(out, in)
	return err
}
