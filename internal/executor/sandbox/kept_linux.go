package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/executor"
)

// keep moves what the action wrote to a place where it stays, and forgets the oldest that stayed.
func (x *execution) keep(exit int) (string, error) {
	if x.own != nil {
		io.Copy(io.Discard, x.own.file) // until the kernel has let go of it
	}
	kept := filepath.Join(x.sandbox.conf.TempDir, "kept")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return "", fmt.Errorf("keep the root: %w", err)
	}
	dir, err := os.MkdirTemp(kept, "root-")
	if err != nil {
		return "", fmt.Errorf("keep the root: %w", err)
	}
	k := Kept{Label: x.request.Label, Action: x.request.Action, Layers: x.request.Layers, Mode: x.mode, Exit: exit}
	if len(k.Layers) == 0 {
		k.Layers = []executor.Layer{{Tree: k.Action.Root, At: "/"}}
	}
	name := "upper"
	switch x.mode {
	case ModeTmpfs:
		err = copyUpper(x.upperDir(), filepath.Join(dir, name))
	case ModeCopy:
		name = "root"
		fallthrough
	default:
		err = os.Rename(x.upperDir(), filepath.Join(dir, name))
	}
	b, jsonErr := json.Marshal(k)
	err = errors.Join(err, jsonErr, os.WriteFile(filepath.Join(dir, keptFile), b, 0o600))
	if err != nil {
		removeAll(dir)
		return "", fmt.Errorf("keep the root: %w", err)
	}
	forget(kept)
	return dir, nil
}

// forget removes all but the newest roots.
func forget(kept string) {
	entries, err := os.ReadDir(kept)
	if err != nil {
		return
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "root-") {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range infos[min(len(infos), maxKept):] {
		removeAll(filepath.Join(kept, info.Name()))
	}
}

// prepareKept makes a kept root ready to be mounted, and says how.
func prepareKept(ctx context.Context, dir string, mode Mode, lowers []string) (Mode, error) {
	switch mode {
	case ModeOverlay:
		work := filepath.Join(dir, "work") // a volatile overlay's may not be used again
		return mode, errors.Join(removeAll(work), os.Mkdir(work, 0o755))
	case ModeTmpfs:
		// Where an upper directory cannot be on disk, one that was kept cannot be mounted: the root becomes a copy.
		root := filepath.Join(dir, "root")
		if _, err := os.Stat(root); err == nil {
			return ModeCopy, nil
		}
		tmp := root + ".new"
		err := errors.Join(removeAll(tmp), copyRoot(ctx, lowers, tmp), applyUpper(filepath.Join(dir, "upper"), tmp))
		return ModeCopy, errors.Join(err, os.Rename(tmp, root))
	}
	return mode, nil
}

// applyUpper changes a copy of a root as an upper directory says.
func applyUpper(upper, root string) error {
	return filepath.WalkDir(upper, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == upper {
			return err
		}
		to := root + strings.TrimPrefix(p, upper)
		info, err := d.Info()
		if err != nil {
			return err
		}
		var b [1]byte
		if d.IsDir() {
			if n, err := unix.Lgetxattr(p, opaqueMark, b[:]); err != nil || n != 1 {
				if old, err := os.Lstat(to); err == nil && old.IsDir() {
					return nil
				}
			}
		}
		if err := os.RemoveAll(to); err != nil || isWhiteout(info) {
			return err
		}
		return copyEntry(p, to, d)
	})
}

// copyUpper copies an overlay's upper directory, with the marks of what was removed.
func copyUpper(src, dst string) error {
	return filepath.WalkDir(src+"/", func(p string, d fs.DirEntry, err error) error { // src may be a link of /proc
		if err != nil {
			return err
		}
		to := dst + strings.TrimPrefix(p, src)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case isWhiteout(info):
			return unix.Mknod(to, unix.S_IFCHR, 0)
		case d.Type()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0:
			return nil
		}
		if err := copyEntry(p, to, d); err != nil || !d.IsDir() {
			return err
		}
		var b [1]byte
		if n, err := unix.Lgetxattr(p, opaqueMark, b[:]); err == nil && n == 1 {
			return unix.Lsetxattr(to, opaqueMark, b[:], 0)
		}
		return nil
	})
}
