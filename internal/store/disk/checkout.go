package disk

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// checkoutState is what the store remembers of a directory that it filled for a user.
type checkoutState struct {
	Tree tree.Tree `json:"tree,omitzero"`
	Next tree.Tree `json:"next,omitzero"` // set while it is being changed to this
	Dir  directory `json:"dir"`
}

// directory tells the directory that was filled from another one of the same name, which is not ours.
type directory struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born"`
}

// Checkout makes dir hold t, for users: plain copies that share nothing with the store but, where the file system can,
// blocks. A directory that an earlier Checkout filled is changed only where the trees differ; files that the user put
// into it stay, and are an error where the tree needs their place.
func (s *Store) Checkout(ctx context.Context, t tree.Tree, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	unlock, err := s.Lock(ctx, "checkout "+dir)
	if err != nil {
		return err
	}
	defer unlock()
	var old checkoutState
	if b, ok := s.loadKV("checkout", dir); ok {
		_ = json.Unmarshal(b, &old) // what cannot be read counts as nothing
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	is, err := identity(dir)
	if err != nil {
		return err
	}
	if old.Dir != is {
		old = checkoutState{Dir: is}
	}
	if !old.Next.IsZero() { // an earlier one was interrupted: parts of both trees may be there
		if err := tree.ClearCheckout(ctx, s, dir, old.Tree, old.Next); err != nil {
			return err
		}
		old.Tree, old.Next = tree.Tree{}, tree.Tree{}
	}
	if old.Tree == t {
		return nil
	}
	plan, err := tree.PlanCheckout(ctx, s, old.Tree, t, dir)
	var foreign *tree.ForeignFileError
	if errors.As(err, &foreign) {
		return diag.Inputf("output-in-the-way", "cannot write to %s", dir).Because(err).
			Hint("move `%s` away, or choose another directory", foreign.Path)
	}
	if err != nil {
		return err
	}
	old.Next = t
	if err := s.saveCheckout(dir, old); err != nil {
		return err
	}
	err = plan.Apply(ctx)
	if errors.Is(err, fs.ErrNotExist) && !old.Tree.IsZero() { // the user removed a part of it: do all of it again
		err = tree.ClearCheckout(ctx, s, dir, old.Tree, t)
		if err == nil {
			plan, err = tree.PlanCheckout(ctx, s, tree.Tree{}, t, dir)
		}
		if err == nil {
			err = plan.Apply(ctx)
		}
	}
	if err != nil {
		return err
	}
	return s.saveCheckout(dir, checkoutState{Tree: t, Dir: is})
}

func (s *Store) saveCheckout(dir string, c checkoutState) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.saveKV("checkout", dir, b)
}

func identity(dir string) (directory, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return directory{}, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() {
		return directory{}, &fs.PathError{Op: "checkout", Path: dir, Err: errors.New("not a directory")}
	}
	return directory{uint64(sys.Dev), sys.Ino, birthTime(dir, sys)}, nil
}

// CopyTo implements tree.FileCopier. Unlike files of views, the copy gets the current time, as users expect of what was
// just written, and the mode that the user's umask leaves.
func (s *Store) CopyTo(_ context.Context, d digest.Digest, path string, exec bool) error {
	fl := flavourOf(exec)
	if d.Size() >= packLimit {
		have, err := s.flavours(d)
		if err != nil {
			return err
		}
		if have != 0 {
			return copyOut(s.casPath(d, have&-have), path, fl.mode())
		}
	}
	var content []byte
	if d != digest.Empty {
		b, ok, err := s.small(d)
		if err != nil {
			return err
		}
		if !ok {
			return notFound(d)
		}
		content = b
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fl.mode())
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	return errors.Join(err, out.Close())
}
