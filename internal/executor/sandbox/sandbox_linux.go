package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/executor"
)

var (
	_ executor.Executor = (*Sandbox)(nil)
	_ executor.Sessions = (*Sandbox)(nil)
)

// Sandbox runs actions and sessions. It is safe for concurrent use.
type Sandbox struct {
	conf   Config
	dir    string // of this process, below conf.TempDir
	lock   *os.File
	client *client
	mode   atomic.Value // Mode: the one that worked, where conf.Mode is ModeAuto
	next   atomic.Int64
	once   sync.Once

	skeleton string         // the directories of every root
	leaving  sync.WaitGroup // what still removes things
}

// New makes a sandbox in conf.TempDir and removes what killed processes left there. It starts nothing yet; whether the
// machine allows what is needed shows with the first action (Probe tells before). Close ends it.
func New(conf Config) (*Sandbox, error) {
	if conf.MaxLog == 0 {
		conf.MaxLog = defaultMaxLog
	}
	temp, err := filepath.Abs(conf.TempDir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	conf.TempDir = temp
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	dir, lock, err := newRun(temp)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s := &Sandbox{conf: conf, dir: dir, lock: lock, client: &client{dir: dir, roots: conf.Roots}, skeleton: filepath.Join(dir, "skeleton")}
	if err := makeSkeleton(s.skeleton); err != nil {
		removeAll(dir)
		lock.Close()
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s.mode.Store(conf.Mode)
	return s, nil
}

// Close ends all that runs, waits for it and removes what is on disk, but for roots that were kept.
func (s *Sandbox) Close() error {
	var err error
	s.once.Do(func() {
		s.client.stop()
		s.leaving.Wait()
		err = removeAll(s.dir)
		s.lock.Close()
	})
	return err
}

// firstMode is the mode to try first.
func (s *Sandbox) firstMode() Mode {
	if m, ok := s.mode.Load().(Mode); ok && m != ModeAuto {
		return m
	}
	return ModeOverlay
}

// makeSkeleton makes the top layer of every root: the places where something is mounted, and a world-writable /tmp.
// Where another layer has something else there (a link, a file), it is hidden.
func makeSkeleton(at string) error {
	for _, d := range []string{"", "proc", "sys", "dev", "tmp", "tmp/home"} {
		if err := os.Mkdir(filepath.Join(at, d), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.Chmod(filepath.Join(at, "tmp"), 0o777|fs.ModeSticky)
}

// newDir makes a directory for one root.
func (s *Sandbox) newDir() (string, error) {
	dir := filepath.Join(s.dir, strconv.FormatInt(s.next.Add(1), 10))
	for _, d := range []string{dir, dir + "/upper", dir + "/work"} { // those of an overlay
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", fmt.Errorf("sandbox: %w", err)
		}
	}
	return dir, nil
}

// lockDir marks a directory as that of a living process: the lock ends with it, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// newRun makes the directory of this process, and removes those of processes that are gone. While a directory is made or
// looked at nobody else makes one: so one without a lock has no living process, which was killed while it made or removed
// it.
func newRun(temp string) (dir string, lock *os.File, err error) {
	guard, err := os.OpenFile(filepath.Join(temp, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	defer guard.Close()
	if err := unix.Flock(int(guard.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, err
	}
	bury(temp)
	if dir, err = os.MkdirTemp(temp, "run-"); err != nil {
		return "", nil, err
	}
	if lock, err = lockDir(dir); err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	guard.Close() // what is dead takes long to remove, and anybody may do it
	sweep(temp)
	return dir, lock, nil
}

// bury renames the directories of processes that are gone.
func bury(temp string) {
	for _, dir := range named(temp, "run-") {
		f, err := os.Open(filepath.Join(dir, "lock"))
		gone := errors.Is(err, fs.ErrNotExist)
		if err == nil {
			gone = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
			f.Close()
		}
		if gone {
			_ = os.Rename(dir, filepath.Join(temp, "dead-"+filepath.Base(dir))) // else the next one tries again
		}
	}
}

// sweep removes what was buried. Errors don't matter: the next one tries again.
func sweep(temp string) {
	for _, dir := range named(temp, "dead-") {
		removeAll(dir)
	}
}

func named(temp, prefix string) []string {
	var out []string
	entries, _ := os.ReadDir(temp) // what cannot be read is looked at by the next one
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			out = append(out, filepath.Join(temp, e.Name()))
		}
	}
	return out
}

// removeAll removes a directory that an action wrote to, whatever modes it set.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		// A directory is visited before it is read, so that this makes it readable.
		if d != nil && d.IsDir() {
			if info, err := d.Info(); err == nil && info.Mode()&0o700 != 0o700 {
				os.Chmod(p, 0o700)
			}
		}
		return nil
	})
	return os.RemoveAll(dir)
}
