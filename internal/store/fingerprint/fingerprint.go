// Package fingerprint is the content of a directory source: its tree, and the stat data by which a later run tells,
// without reading a single file, that nothing changed.
//
// A directory source is what git would track of it: what .gitignore files name, `.git` itself, empty directories and
// what is neither file, directory nor link are left out, so that a clone and a work tree give one tree. The directory
// need not be in a git repository; if it is, .gitignore files above it count too.
package fingerprint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/source/gitignore"
	"hewn.example/hewn/internal/tree"
)

// Fingerprint is what a directory was when it was scanned. It is immutable.
type Fingerprint struct {
	dir   string // absolute
	at    int64  // when the scan began, ns
	tree  tree.Tree
	above []rulesFile // .gitignore files above dir, top first
	dirs  []dirRecord // dir itself first; only those that are not ignored
}

// rulesFile is a place for a .gitignore above the directory; stat is zero where there is none.
type rulesFile struct {
	path   string
	stat   stat
	digest digest.Digest
}

// dirRecord is one directory and what it holds besides directories.
type dirRecord struct {
	path    string // relative to the root, "" for the root
	stat    stat
	names   [32]byte // hash of the names of all entries, ignored ones too
	entries []entry
}

// entry is a file or link that is not ignored.
type entry struct {
	name   string
	stat   stat
	digest digest.Digest // of a file
	target string        // of a link
}

// stat is what tells a changed file from an unchanged one.
type stat struct {
	mode         uint32
	size         int64
	mtime, ctime int64 // ns
	ino          uint64
}

func statOf(st *unix.Stat_t) stat {
	return stat{uint32(st.Mode), st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Ino}
}

func (s stat) kind() uint32 { return s.mode & unix.S_IFMT }

// racy says that the file could have been changed after it was looked at, at the time at, without its times telling:
// times move in steps of a kernel tick, or of two seconds on file systems that know no fractions.
func (s stat) racy(at int64) bool {
	step := int64(20 * time.Millisecond)
	if s.mtime%1e9 == 0 && s.ctime%1e9 == 0 {
		step = int64(2 * time.Second)
	}
	return max(s.mtime, s.ctime) >= at-step
}

// Tree is the directory's tree.
func (f *Fingerprint) Tree() tree.Tree { return f.tree }

// Dir is the absolute path of the directory.
func (f *Fingerprint) Dir() string { return f.dir }

// Unchanged says that the directory still has the tree that it had. It looks at stat data; what was changed so shortly
// before the scan that its times could hide a later change is read again.
func (f *Fingerprint) Unchanged() bool {
	top, err := findTop(f.dir)
	if err != nil || !f.sameAbove(top) {
		return false
	}
	workers := min(2*runtime.GOMAXPROCS(0), 8, 1+len(f.dirs)/32)
	var next atomic.Int64
	var changed atomic.Bool
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			for !changed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(f.dirs) {
					break
				}
				if !f.sameDir(&f.dirs[i]) {
					changed.Store(true)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	return !changed.Load()
}

func (f *Fingerprint) sameAbove(now []string) bool {
	if len(now) != len(f.above) {
		return false
	}
	for i, r := range f.above {
		if now[i] != r.path || statFile(r.path) != r.stat {
			return false
		}
		if r.stat.kind() == unix.S_IFREG && r.stat.racy(f.at) {
			if b, err := readRules(r.path); err != nil || digest.Of(b) != r.digest {
				return false
			}
		}
	}
	return true
}

func statFile(path string) stat {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return stat{}
	}
	return statOf(&st)
}

func (f *Fingerprint) sameDir(d *dirRecord) bool {
	path := filepath.Join(f.dir, d.path)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if d.path == "" {
		if err != nil {
			fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || !sameDirStat(statOf(&st), d.stat) {
		return false
	}
	if d.stat.racy(f.at) {
		if _, names, err := list(path); err != nil || names != d.names {
			return false
		}
	}
	for i := range d.entries {
		e := &d.entries[i]
		if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || statOf(&st) != e.stat {
			return false
		}
		if e.stat.racy(f.at) && !e.sameContent(filepath.Join(path, e.name)) {
			return false
		}
	}
	return true
}

// sameDirStat compares what matters of a directory: its size is the file system's own affair.
func sameDirStat(a, b stat) bool {
	return a.ino == b.ino && a.mtime == b.mtime && a.kind() == b.kind()
}

// sameContent reads the file or link.
func (e *entry) sameContent(path string) bool {
	if e.stat.kind() == unix.S_IFLNK {
		target, err := os.Readlink(path)
		return err == nil && target == e.target
	}
	in, err := os.Open(path)
	if err != nil {
		return false
	}
	defer in.Close()
	w := digest.NewWriter()
	_, err = in.WriteTo(w)
	return err == nil && w.Digest() == e.digest
}

// findTop gives the places above dir in which a .gitignore counts: those of the git work tree that dir is in, top
// first; none if it is in none or is its top.
func findTop(dir string) ([]string, error) {
	var out []string
	for d := dir; ; {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return out, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		up := filepath.Dir(d)
		if up == d {
			return nil, nil
		}
		out = append([]string{filepath.Join(up, ".gitignore")}, out...)
		d = up
	}
}

// readAbove reads those files. The prefix is dir as seen from the top of the work tree.
func readAbove(dir string) (files []rulesFile, m *gitignore.Matcher, prefix string, err error) {
	paths, err := findTop(dir)
	if err != nil || len(paths) == 0 {
		return nil, nil, "", err
	}
	top := filepath.Dir(paths[0])
	for _, p := range paths {
		st := statFile(p)
		if st.kind() != unix.S_IFREG {
			files = append(files, rulesFile{path: p, stat: st})
			continue
		}
		content, err := readRules(p)
		if err != nil {
			return nil, nil, "", err
		}
		files = append(files, rulesFile{p, st, digest.Of(content)})
		rel, err := filepath.Rel(top, filepath.Dir(p))
		if err != nil {
			return nil, nil, "", err
		}
		if rel == "." {
			rel = ""
		}
		m = m.With(filepath.ToSlash(rel), content)
	}
	prefix, err = filepath.Rel(top, dir)
	if err != nil {
		return nil, nil, "", err
	}
	prefix = filepath.ToSlash(prefix)
	names := strings.Split(prefix, "/")
	for i := range names {
		if m.Ignored(strings.Join(names[:i+1], "/"), true) {
			return files, nil, "", nil // the directory itself is ignored: whoever names it as a source means it all the same
		}
	}
	return files, m, prefix + "/", nil
}

// maxRules bounds a .gitignore file; git's own tree has 8 KB.
const maxRules = 1 << 20

func readRules(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) > maxRules {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("over a megabyte of rules")}
	}
	return b, err
}

// Scan gives the tree of dir, whose files go to sink, and its fingerprint. Files that old, which may be nil, has with
// the same stat data are not read again, unless sink has lost them.
func Scan(ctx context.Context, dir string, old *Fingerprint, sink tree.Sink) (*Fingerprint, tree.Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, tree.Tree{}, err
	}
	s := &scanner{dir: dir, sink: sink, out: &Fingerprint{dir: dir, at: time.Now().UnixNano()}}
	s.known, err = reusable(ctx, old, dir, sink)
	if err != nil {
		return nil, tree.Tree{}, err
	}
	above, rules, prefix, err := readAbove(dir)
	if err != nil {
		return nil, tree.Tree{}, err
	}
	s.out.above, s.prefix = above, prefix
	root := &node{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	s.group = g
	g.Go(func() error { return s.scan(gctx, "", rules, root) })
	if err := g.Wait(); err != nil {
		return nil, tree.Tree{}, err
	}
	t, _, err := s.finish(ctx, root)
	if err != nil {
		return nil, tree.Tree{}, err
	}
	s.out.tree = t
	return s.out, t, nil
}
