package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// viewState is a view that this process has asked for; path and err are set when ready is closed.
type viewState struct {
	ready chan struct{}
	path  string
	err   error
}

// View implements store.Views. The view is made once, under a temporary name, out of hard links to the larger blobs and
// new small files; it stays until it is collected, which no process that has the store open allows.
func (s *Store) View(ctx context.Context, t tree.Tree) (path string, release func(), err error) {
	for {
		s.viewMu.Lock()
		v := s.viewed[t]
		mine := v == nil
		if mine {
			v = &viewState{ready: make(chan struct{})}
			s.viewed[t] = v
		}
		s.viewMu.Unlock()
		if mine {
			v.path, v.err = s.view(ctx, t)
			if v.err != nil {
				s.viewMu.Lock()
				delete(s.viewed, t) // the next one may have more luck: a context ends, a disk gets room
				s.viewMu.Unlock()
			}
			close(v.ready)
			return v.path, func() {}, v.err
		}
		select {
		case <-v.ready:
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		}
		if v.err != nil {
			continue
		}
		if _, err := os.Lstat(v.path); err == nil {
			return v.path, func() {}, nil
		}
		s.viewMu.Lock() // somebody removed it by hand
		if s.viewed[t] == v {
			delete(s.viewed, t)
		}
		s.viewMu.Unlock()
	}
}

func (s *Store) view(ctx context.Context, t tree.Tree) (string, error) {
	return s.viewAs(ctx, t.Digest().Hex(), func(dir string) error { return s.materialise(ctx, t, dir) })
}

// viewAs gives the path of the view of that name. If there is none, it is made in a directory that fill makes.
func (s *Store) viewAs(ctx context.Context, name string, fill func(dir string) error) (string, error) {
	path := s.path("views", name)
	if _, err := os.Lstat(path); err == nil {
		return path, nil
	}
	unlock, err := s.Lock(ctx, "view "+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return path, nil
	}
	tmp, err := s.temp.next("view-")
	if err != nil {
		return "", err
	}
	s.sync.wrote()
	err = fill(tmp)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = removeAll(tmp)
		return "", fmt.Errorf("view of tree %s: %w", name, err)
	}
	return path, nil
}

// fileKey is an inode of a blob.
type fileKey struct {
	d  digest.Digest
	fl flavours
}

// viewMaker makes one view.
type viewMaker struct {
	s     *Store
	group *errgroup.Group

	mu     sync.Mutex
	linked map[fileKey]bool // inodes that the view has: tools refuse to copy a file onto "itself", so one path each
}

// materialise makes dir, which must not exist, with the content of t.
func (s *Store) materialise(ctx context.Context, t tree.Tree, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0)) // more only contend for the same directories' locks
	m := &viewMaker{s: s, group: g, linked: map[fileKey]bool{}}
	base := s.similarView(ctx, t)
	g.Go(func() error { return m.dir(ctx, t, dir, base) })
	return g.Wait()
}

// dir fills the directory at path, which exists. Its own time is set after all its entries are there and before theirs
// are filled, which does not touch it.
func (m *viewMaker) dir(ctx context.Context, t tree.Tree, path string, base baseDir) error {
	if err := ctxErr(ctx); err != nil {
		return err
	}
	d, err := m.s.Directory(ctx, t)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	base.open(ctx, m.s)
	err = m.entries(ctx, fd, path, d, base)
	base.close()
	if err == nil {
		err = at("set mode", path, chmod(fd, 0o755))
	}
	if err == nil {
		err = at("set time", path, setEpoch(fd))
	}
	_ = unix.Close(fd)
	if err != nil {
		return err
	}
	for _, sub := range d.Dirs {
		sub, p := sub, path+"/"+sub.Name
		work := func() error { return m.dir(ctx, sub.Tree, p, base.sub(sub.Name)) }
		if m.group.TryGo(work) {
			continue
		}
		if err := work(); err != nil {
			return err
		}
	}
	return nil
}

func (m *viewMaker) entries(ctx context.Context, fd int, path string, d *tree.Directory, base baseDir) error {
	for _, sub := range d.Dirs {
		if err := unix.Mkdirat(fd, sub.Name, 0o755); err != nil {
			return at("mkdir", path+"/"+sub.Name, err)
		}
	}
	for _, l := range d.Links {
		err := unix.Symlinkat(l.Target, fd, l.Name)
		if err == nil {
			err = unix.UtimesNanoAt(fd, l.Name, epochSpecs, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return at("link", path+"/"+l.Name, err)
		}
	}
	for i, f := range d.Files {
		if i%64 == 63 && ctx.Err() != nil {
			return ctxErr(ctx)
		}
		var err error
		if f.Digest.Size() < packLimit {
			if base.link(f, fd) {
				continue
			}
			err = m.create(fd, f)
		} else {
			err = m.link(ctx, fd, path, f)
		}
		if err != nil {
			return at("make", path+"/"+f.Name, err)
		}
	}
	return nil
}

// create writes a small file.
func (m *viewMaker) create(dir int, f tree.File) error {
	var content []byte
	if f.Digest != digest.Empty {
		b, ok, err := m.s.small(f.Digest)
		if err != nil {
			return err
		}
		if !ok {
			return notFound(f.Digest)
		}
		content = b
	}
	mode := uint32(flavourOf(f.Executable).mode())
	fd, err := unix.Openat(dir, f.Name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	for len(content) > 0 && err == nil {
		var n int
		n, err = unix.Write(fd, content)
		if err == unix.EINTR {
			err = nil
			continue
		}
		content = content[max(n, 0):]
	}
	if err == nil {
		err = chmod(fd, mode)
	}
	if err == nil {
		err = setEpoch(fd)
	}
	if e := unix.Close(fd); err == nil {
		err = e
	}
	return err
}

// chmod sets the mode where the umask made it another one. Looking first costs a tenth of setting it.
func chmod(fd int, mode uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && uint32(st.Mode)&0o7777 == mode {
		return nil
	}
	return unix.Fchmod(fd, mode)
}

// link makes a name for a larger blob's inode, or a copy where the inode may not get one.
func (m *viewMaker) link(ctx context.Context, dir int, path string, f tree.File) error {
	k := fileKey{f.Digest, flavourOf(f.Executable)}
	m.mu.Lock()
	again := m.linked[k]
	m.linked[k] = true
	m.mu.Unlock()
	if !again { // looking first whether the inode is there costs as much as the name does
		err := unix.Linkat(unix.AT_FDCWD, m.s.casPath(k.d, k.fl), dir, f.Name, 0)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !tooManyLinks(err) && !crossDevice(err) {
			return err
		}
	}
	from, err := m.s.inode(k.d, k.fl)
	if err != nil {
		return m.spread(ctx, path, f, err)
	}
	if !again {
		err := unix.Linkat(unix.AT_FDCWD, from, dir, f.Name, 0)
		if err == nil || !tooManyLinks(err) && !crossDevice(err) {
			return err
		}
	}
	return copyFile(from, path+"/"+f.Name, k.fl.mode())
}

// spread writes a larger blob that is not a file of its own: a directory's message that is a file's content too.
func (m *viewMaker) spread(_ context.Context, path string, f tree.File, cause error) error {
	b, ok, err := m.s.small(f.Digest)
	if err != nil || !ok {
		return errors.Join(cause, err)
	}
	out, err := os.OpenFile(path+"/"+f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := out.Write(b); err != nil {
		return err
	}
	return finish(out, flavourOf(f.Executable).mode())
}

var (
	epochTimes = []unix.Timeval{unix.NsecToTimeval(epoch.UnixNano()), unix.NsecToTimeval(epoch.UnixNano())}
	epochSpecs = []unix.Timespec{unix.NsecToTimespec(epoch.UnixNano()), unix.NsecToTimespec(epoch.UnixNano())}
)

func at(op, path string, err error) error {
	var p *fs.PathError
	if err == nil || errors.As(err, &p) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
