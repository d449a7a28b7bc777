package sandbox

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// places are the paths, as base sees them, of what a root is made of.
type places struct {
	lowers []string
	dir    string // the root's directory on the host: upper and work, or the copy
}

// locate attaches what a root needs.
func (b *base) locate(r *root) (*places, error) {
	p := &places{}
	for _, l := range r.Lowers {
		at, err := b.path(l, filepath.Dir(l))
		if err != nil {
			return nil, err
		}
		p.lowers = append(p.lowers, at)
	}
	var err error
	p.dir, err = b.path(r.Dir, filepath.Dir(r.Dir))
	return p, err
}

// mountRoot puts a root together at baseRoot, on a thread that has a copy of base for itself.
// It gives a descriptor of the upper directory where that is not visible from the host, else -1.
func mountRoot(r *root, p *places) (upper int, err error) {
	upper = -1
	switch r.Mode {
	case ModeOverlay:
		err = mountOverlay(p.lowers, p.dir)
	case ModeTmpfs:
		upper, err = mountTmpfsOverlay(p.lowers)
	case ModeCopy:
		err = unix.Mount(p.dir+"/root", baseRoot, "", unix.MS_BIND, "")
	default:
		err = fmt.Errorf("no such mode %q", r.Mode)
	}
	if err != nil {
		return -1, err
	}
	if err := mountSpecial(r); err != nil {
		if upper >= 0 {
			unix.Close(upper)
		}
		return -1, err
	}
	return upper, nil
}

// mountOverlay mounts an overlay with dir/upper and dir/work at baseRoot. Layers are named by descriptor: their own
// names could contain what separates options, and together exceed the page that options must fit in.
//
// userxattr is what user namespaces allow; volatile spares a sync of the whole file system at every unmount: what an
// action wrote is worth nothing before it has been collected.
func mountOverlay(lowers []string, dir string) error {
	var options strings.Builder
	options.WriteString("userxattr,volatile,index=off,metacopy=off,redirect_dir=nofollow,xino=off,lowerdir=")
	var fds []int
	defer func() { closeAll(fds) }()
	open := func(name string) (string, error) {
		fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: name, Err: err}
		}
		fds = append(fds, fd)
		return "/proc/self/fd/" + strconv.Itoa(fd), nil
	}
	for i, l := range lowers {
		at, err := open(l)
		if err != nil {
			return err
		}
		if i > 0 {
			options.WriteByte(':')
		}
		options.WriteString(at)
	}
	upper, err := open(dir + "/upper")
	if err != nil {
		return err
	}
	work, err := open(dir + "/work")
	if err != nil {
		return err
	}
	options.WriteString(",upperdir=" + upper + ",workdir=" + work)
	if err := unix.Mount("overlay", baseRoot, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options.String()); err != nil {
		return fmt.Errorf("mount an overlay: %w", err)
	}
	return nil
}

func mountTmpfsOverlay(lowers []string) (int, error) {
	if err := unix.Mount("tmpfs", baseTmp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=100%,nr_inodes=0"); err != nil {
		return -1, fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, d := range []string{"/upper", "/work"} {
		if err := unix.Mkdir(baseTmp+d, 0o755); err != nil {
			return -1, err
		}
	}
	if err := mountOverlay(lowers, baseTmp); err != nil {
		return -1, err
	}
	return unix.Open(baseTmp+"/upper", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// mountSpecial mounts /dev and what the root asks for besides, and makes the directories that must exist.
func mountSpecial(r *root) error {
	dirFD, err := unix.Open(baseRoot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dirFD)
	if r.Mode == ModeCopy {
		if err := makeSkeleton(baseRoot); err != nil {
			return err
		}
	}
	if err := unix.Mount(baseDev, baseRoot+"/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move /dev: %w", err)
	}
	if err := unix.Mount("devpts", baseRoot+"/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	for _, at := range append([]string{"/dev/shm"}, r.Tmpfs...) {
		if err := mountAt(dirFD, at, func(target string) error {
			return unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
		}); err != nil {
			return fmt.Errorf("mount a tmpfs at %s: %w", at, err)
		}
	}
	for _, d := range r.Make {
		if err := makeInside(dirFD, d); err != nil {
			return err
		}
	}
	return nil
}

// mountAt opens a path of the root, making it where it is not there, and gives mount a name for it that cannot lead out
// of the root.
func mountAt(dirFD int, at string, mount func(target string) error) error {
	if err := makeInside(dirFD, at); err != nil {
		return err
	}
	fd, err := openInside(dirFD, at)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return mount("/proc/self/fd/" + strconv.Itoa(fd))
}

// openInside opens a directory of the root for naming it. Links are followed within the root, as a process in it would.
func openInside(dirFD int, p string) (int, error) {
	fd, err := unix.Openat2(dirFD, strings.TrimPrefix(p, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: p, Err: err}
	}
	return fd, nil
}

// makeInside makes a directory of the root with its parents. Where a file is in the way it stays: whoever needs a
// directory there will say so better.
func makeInside(dirFD int, p string) error {
	if p == "/" || p == "." || p == "" {
		return nil
	}
	if fd, err := openInside(dirFD, p); err == nil {
		return unix.Close(fd)
	}
	if err := makeInside(dirFD, path.Dir(p)); err != nil {
		return err
	}
	parent, err := openParent(dirFD, path.Dir(p))
	if err != nil {
		return nil
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(p), 0o755); err != nil && err != unix.EEXIST {
		return &os.PathError{Op: "mkdir", Path: p, Err: err}
	}
	return nil
}

func openParent(dirFD int, dir string) (int, error) {
	if dir == "/" {
		return unix.Dup(dirFD)
	}
	return openInside(dirFD, dir)
}
