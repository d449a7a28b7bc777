package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copyRoot copies views over each other into dst. It is the slow way, for machines that refuse overlays; where the file
// system can share blocks between files, it does.
func copyRoot(ctx context.Context, views []string, dst string) error {
	if err := os.Mkdir(dst, 0o755); err != nil {
		return err
	}
	hidden := map[string]bool{}
	for _, v := range views {
		err := filepath.WalkDir(v, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			rel, err := filepath.Rel(v, p)
			if err != nil || rel == "." {
				return err
			}
			switch {
			case d.Type()&fs.ModeCharDevice != 0: // a view has no devices but the mark of what lower ones have too much
				hidden[rel] = true
				return nil
			case hidden[rel] && d.IsDir():
				return fs.SkipDir
			case hidden[rel]:
				return nil
			}
			return copyEntry(p, filepath.Join(dst, rel), d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(src, dst string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		if err := os.Mkdir(dst, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, dst); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case !d.Type().IsRegular():
		return fmt.Errorf("%s is neither file, directory nor link", src)
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // two layers have it; a root's layers have the same file at the same path
	}
	if err != nil {
		return err
	}
	defer out.Close()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	// The views' one constant time: tools compare times of inputs with each other.
	return os.Chtimes(dst, info.ModTime(), info.ModTime())
}
