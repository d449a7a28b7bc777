package disk

import (
	"context"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// A view is much like the one before it when a person changes a line and builds again. Making a name for a small file
// that another view has at the same path costs a quarter of making the file (25 against 104 µs of processor time).

// baseDir is a directory of an existing view at the path that is being made; the zero value is none.
type baseDir struct {
	tree tree.Tree
	path string
	d    *tree.Directory // set by open
	fd   int
}

// open gets ready for link; where that fails, link just says no.
func (b *baseDir) open(ctx context.Context, s *Store) {
	if b.tree.IsZero() {
		return
	}
	d, err := s.Directory(ctx, b.tree)
	if err != nil {
		return
	}
	fd, err := unix.Open(b.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	b.d, b.fd = d, fd
}

func (b *baseDir) close() {
	if b.d != nil {
		_ = unix.Close(b.fd)
	}
}

// link makes a name in dir for the same file of the other view, if that has it. In a view each small file is an inode
// of its own, so that no two paths of the new view can come to share one.
func (b *baseDir) link(f tree.File, dir int) bool {
	if b.d == nil {
		return false
	}
	i, ok := slices.BinarySearchFunc(b.d.Files, f.Name, func(f tree.File, name string) int { return strings.Compare(f.Name, name) })
	return ok && b.d.Files[i] == f && unix.Linkat(b.fd, f.Name, dir, f.Name, 0) == nil
}

func (b *baseDir) sub(name string) baseDir {
	if b.d == nil {
		return baseDir{}
	}
	e, ok := b.d.Entry(name)
	if !ok || e.Kind != tree.KindDir {
		return baseDir{}
	}
	return baseDir{tree: e.Tree, path: b.path + "/" + name}
}

const (
	baseCandidates = 24  // how many of the newest views are looked at
	baseReads      = 100 // how many directories are compared with each
	subtreeScore   = 50  // what an equal subtree counts for, in equal files
	treeName       = 64  // the length of the name of a tree's view
	worthBase      = 32  // how many entries a tree must have: looking at the views costs about as much as making so many
)

// similarView gives the one of the newest views that has most in common with t.
func (s *Store) similarView(ctx context.Context, t tree.Tree) baseDir {
	if s.entriesUpTo(ctx, t, worthBase) < worthBase {
		return baseDir{}
	}
	if all := s.similarViews(ctx, t); len(all) > 0 {
		return all[0]
	}
	return baseDir{}
}

// similarViews gives those of the newest views that have anything in common with t, those with most first.
func (s *Store) similarViews(ctx context.Context, t tree.Tree) []baseDir {
	var out []baseDir
	common := map[tree.Tree]int{}
	for _, v := range s.newestViews() {
		budget := baseReads
		if n := s.inCommon(ctx, t, v.tree, &budget); n > 0 {
			common[v.tree] = n
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b baseDir) int { return common[b.tree] - common[a.tree] })
	return out
}

// entriesUpTo counts the entries of t and of the directories in it, and stops at limit.
func (s *Store) entriesUpTo(ctx context.Context, t tree.Tree, limit int) int {
	d, err := s.Directory(ctx, t)
	if err != nil {
		return limit // whoever makes the view will say it better
	}
	n := len(d.Files) + len(d.Links) + len(d.Dirs)
	for _, sub := range d.Dirs {
		if n >= limit {
			break
		}
		n += s.entriesUpTo(ctx, sub.Tree, limit-n)
	}
	return n
}

func (s *Store) newestViews() []baseDir {
	entries, err := os.ReadDir(s.path("views"))
	if err != nil {
		return nil
	}
	type aged struct {
		name string
		made time.Time
	}
	var all []aged
	for _, e := range entries {
		if len(e.Name()) != treeName {
			continue // what has been removed is marked in it: no view of a tree
		}
		st, err := e.Info()
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			all = append(all, aged{e.Name(), changeTime(sys)})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return b.made.Compare(a.made) })
	var out []baseDir
	for _, a := range all[:min(len(all), baseCandidates)] {
		if t, ok := s.treeOfHash(a.name); ok {
			out = append(out, baseDir{tree: t, path: s.path("views", a.name)})
		}
	}
	return out
}

// treeOfHash completes the name of a view, which has no size in it.
func (s *Store) treeOfHash(hexHash string) (t tree.Tree, ok bool) {
	h, err := hex.DecodeString(hexHash)
	if err != nil || len(h) != 32 {
		return t, false
	}
	n, ok := s.packs.has(recordKey{[32]byte(h), kindBlob})
	if !ok {
		return t, false
	}
	d, err := digest.New(h, int64(n))
	return tree.Of(d), err == nil
}

// inCommon counts what two trees have at the same paths.
func (s *Store) inCommon(ctx context.Context, a, b tree.Tree, budget *int) (n int) {
	if a == b {
		return subtreeScore
	}
	if *budget--; *budget < 0 || ctx.Err() != nil {
		return 0
	}
	da, err := s.Directory(ctx, a)
	if err != nil {
		return 0
	}
	db, err := s.Directory(ctx, b)
	if err != nil {
		return 0
	}
	for i, j := 0, 0; i < len(da.Files) && j < len(db.Files); {
		switch c := strings.Compare(da.Files[i].Name, db.Files[j].Name); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			if da.Files[i] == db.Files[j] {
				n++
			}
			i, j = i+1, j+1
		}
	}
	for _, sub := range da.Dirs {
		if e, ok := db.Entry(sub.Name); ok && e.Kind == tree.KindDir {
			n += s.inCommon(ctx, sub.Tree, e.Tree, budget)
		}
	}
	return n
}
