package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// temp is this process's temporary directory. Beside it lies a lock file that the process holds: whoever can take the
// lock knows that the owner is gone, however that came about, and removes both.
type temp struct {
	root string

	mu   sync.Mutex
	dir  string // "" before it is first needed
	lock *os.File
	last uint64
}

func (t *temp) init(root string) { t.root = root }

// next gives a new path below the process's own directory.
func (t *temp) next(prefix string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir == "" {
		if err := t.start(); err != nil {
			return "", err
		}
	}
	t.last++
	return t.dir + "/" + prefix + strconv.FormatUint(t.last, 36), nil
}

func (t *temp) file() (string, error) { return t.next("") }

func (t *temp) start() error {
	for {
		f, err := os.CreateTemp(t.root, "*.lock")
		if err != nil {
			return err
		}
		if err := flock(f, lockAlone); err != nil {
			_ = f.Close()
			return err
		}
		if !sameFile(f, f.Name()) { // somebody took it for a leftover before it was locked
			_ = f.Close()
			continue
		}
		if d, err := os.Open(t.root); err == nil {
			scatter(d)
			_ = d.Close()
		}
		dir := strings.TrimSuffix(f.Name(), ".lock")
		if err := os.Mkdir(dir, 0o755); err != nil {
			_ = f.Close()
			return err
		}
		t.dir, t.lock = dir, f
		return nil
	}
}

// close removes the directory and then the lock.
func (t *temp) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir == "" {
		return nil
	}
	err := removeAll(t.dir)
	if err == nil {
		err = os.Remove(t.lock.Name())
	}
	t.dir = ""
	return errors.Join(err, t.lock.Close())
}

// deadOwners gives the locks of processes that are gone; each is held by us now.
func (t *temp) deadOwners() (dead []*os.File) {
	entries, _ := os.ReadDir(t.root)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			continue
		}
		path := filepath.Join(t.root, e.Name())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if flock(f, lockAlone|lockTry) != nil || !sameFile(f, path) {
			_ = f.Close()
			continue
		}
		dead = append(dead, f)
	}
	return dead
}

func (t *temp) reclaim(dead []*os.File) {
	for _, f := range dead {
		if removeAll(strings.TrimSuffix(f.Name(), ".lock")) == nil {
			_ = os.Remove(f.Name())
		}
		_ = f.Close()
	}
}

// TempDir makes a directory that belongs to this process, on the store's file system, so that IngestFile can take
// files from it by renaming. remove removes it with all that is in it; if the process dies first, the next one that
// opens the store does.
func (s *Store) TempDir(ctx context.Context, prefix string) (path string, remove func(), err error) {
	if err := ctxErr(ctx); err != nil {
		return "", nil, err
	}
	path, err = s.temp.next(strings.Map(nameRune, prefix) + "-")
	if err == nil {
		err = os.Mkdir(path, 0o755)
	}
	if err != nil {
		return "", nil, err
	}
	return path, sync.OnceFunc(func() { _ = removeAll(path) }), nil
}

// nameRune keeps what cannot do harm in a file name.
func nameRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
		return r
	}
	return '-'
}

// removeAll is os.RemoveAll that also gets through directories which lack the permissions for it: actions leave such
// behind, and overlay mounts make them.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err == nil {
			_ = os.Chmod(p, 0o700) // before WalkDir reads it
		}
		return nil
	})
	return os.RemoveAll(dir)
}
