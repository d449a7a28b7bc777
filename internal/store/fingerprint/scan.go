package fingerprint

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/source/gitignore"
	"hewn.example/hewn/internal/tree"
)

// scanner scans one directory.
type scanner struct {
	dir    string
	prefix string // of paths, as the rules above see them
	sink   tree.Sink
	known  map[string]*entry // by path: what need not be read again
	group  *errgroup.Group
	out    *Fingerprint
}

// node is a directory that is being scanned; each is filled by one goroutine.
type node struct {
	record dirRecord
	subs   []*node
}

// reusable gives the entries of old whose content is known for sure and still in sink.
func reusable(ctx context.Context, old *Fingerprint, dir string, sink tree.Sink) (map[string]*entry, error) {
	if old == nil || old.dir != dir {
		return nil, nil
	}
	known := map[string]*entry{}
	var files []digest.Digest
	for i := range old.dirs {
		d := &old.dirs[i]
		prefix := d.path
		if prefix != "" {
			prefix += "/"
		}
		for j := range d.entries {
			e := &d.entries[j]
			if e.stat.racy(old.at) {
				continue
			}
			known[prefix+e.name] = e
			if e.stat.kind() == unix.S_IFREG {
				files = append(files, e.digest)
			}
		}
	}
	s, ok := sink.(interface {
		Missing(context.Context, []digest.Digest) ([]digest.Digest, error)
	})
	if !ok {
		return known, nil
	}
	missing, err := s.Missing(ctx, files)
	if err != nil || len(missing) == 0 {
		return known, err
	}
	lost := map[digest.Digest]bool{}
	for _, d := range missing {
		lost[d] = true
	}
	for p, e := range known {
		if lost[e.digest] {
			delete(known, p)
		}
	}
	return known, nil
}

// list gives the entries of a directory in the order of names, and a hash of the names and types.
func list(path string) (entries []fs.DirEntry, names [32]byte, err error) {
	entries, err = os.ReadDir(path)
	if err != nil {
		return nil, names, err
	}
	h := sha256.New()
	for _, e := range entries {
		_, _ = fmt.Fprintf(h, "%o %s\x00", e.Type(), e.Name())
	}
	h.Sum(names[:0])
	return entries, names, nil
}

func (s *scanner) scan(ctx context.Context, rel string, rules *gitignore.Matcher, out *node) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	path := filepath.Join(s.dir, rel)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	out.record = dirRecord{path: rel, stat: statOf(&st)} // before the list, so that what comes later shows
	entries, names, err := list(path)
	if err != nil {
		return err
	}
	out.record.names = names
	if rules, err = s.rulesOf(rel, path, entries, rules); err != nil {
		return err
	}
	if rel != "" {
		rel += "/"
	}
	for _, e := range entries {
		name := e.Name()
		if name == ".git" || rules.Ignored(s.prefix+rel+name, e.IsDir()) {
			continue
		}
		if err := tree.CheckName(name); err != nil {
			return &tree.UnsupportedFileError{Path: filepath.Join(path, name), Why: "the name is not UTF-8, which a tree cannot hold"}
		}
		if e.IsDir() {
			sub := &node{}
			out.subs = append(out.subs, sub)
			work := func() error { return s.scan(ctx, rel+name, rules, sub) }
			if s.group.TryGo(work) {
				continue
			}
			if err := work(); err != nil {
				return err
			}
			continue
		}
		if !e.Type().IsRegular() && e.Type() != fs.ModeSymlink {
			continue // git does not track it either
		}
		if err := s.entry(ctx, fd, path, rel, name, out); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) rulesOf(rel, path string, entries []fs.DirEntry, rules *gitignore.Matcher) (*gitignore.Matcher, error) {
	i, ok := slices.BinarySearchFunc(entries, ".gitignore", func(e fs.DirEntry, name string) int {
		return strings.Compare(e.Name(), name)
	})
	if !ok || !entries[i].Type().IsRegular() {
		return rules, nil
	}
	content, err := readRules(filepath.Join(path, ".gitignore"))
	if err != nil {
		return nil, err
	}
	return rules.With(strings.TrimSuffix(s.prefix+rel, "/"), content), nil
}

func (s *scanner) entry(ctx context.Context, fd int, path, rel, name string, out *node) error {
	full := path + "/" + name
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "stat", Path: full, Err: err}
	}
	e := entry{name: name, stat: statOf(&st)}
	if old := s.known[rel+name]; old != nil && old.stat == e.stat {
		out.record.entries = append(out.record.entries, *old)
		return nil
	}
	var err error
	switch e.stat.kind() {
	case unix.S_IFLNK:
		e.target, err = os.Readlink(full)
	case unix.S_IFREG:
		e.digest, err = s.ingest(ctx, full)
	default:
		return fmt.Errorf("%s changed while it was being read", full)
	}
	out.record.entries = append(out.record.entries, e)
	return err
}

func (s *scanner) ingest(ctx context.Context, path string) (digest.Digest, error) {
	in, err := os.Open(path)
	if err != nil {
		return digest.Digest{}, err
	}
	defer in.Close()
	d, err := s.sink.Ingest(ctx, in)
	if err != nil {
		err = fmt.Errorf("ingest %s: %w", path, err)
	}
	return d, err
}

// finish puts the directories of n, deepest first, and appends their records, n's own before those below it.
func (s *scanner) finish(ctx context.Context, n *node) (t tree.Tree, empty bool, err error) {
	s.out.dirs = append(s.out.dirs, n.record)
	d := &tree.Directory{}
	for _, e := range n.record.entries {
		if e.stat.kind() == unix.S_IFLNK {
			d.Links = append(d.Links, tree.Link{Name: e.name, Target: e.target})
		} else {
			d.Files = append(d.Files, tree.File{Name: e.name, Digest: e.digest, Executable: e.stat.mode&0o100 != 0})
		}
	}
	for _, sub := range n.subs {
		st, empty, err := s.finish(ctx, sub)
		if err != nil {
			return t, false, err
		}
		if !empty {
			d.Dirs = append(d.Dirs, tree.Dir{Name: filepath.Base(sub.record.path), Tree: st})
		}
	}
	t, err = s.sink.PutDirectory(ctx, d)
	return t, t == tree.Empty, err
}
