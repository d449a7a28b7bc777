// Package disk is the store on a disk: blobs, directories, results of steps, views of trees, and what hewn remembers
// between runs. Many processes work on one store at once; any of them may be killed at any moment.
//
//	<dir>/v1/lease            every process holds it shared; collection holds it alone
//	<dir>/v1/boot             the boot of the machine in which the store was last opened
//	<dir>/v1/synced           its mtime: all that was written before is durable
//	<dir>/v1/packs/NNNN.pack  append-only records: directories, results, small blobs
//	<dir>/v1/packs/NNNN.idx   sorted index over the beginning of the pack
//	<dir>/v1/cas/xx/HEX-SIZE  a larger blob, mode 0644; with `.x` at the end: the same, mode 0755
//	<dir>/v1/views/HEX/       a tree as a directory, hard links into cas/
//	<dir>/v1/kv/KIND/xx/HEX   traces, build records, logs: one small file each
//	<dir>/v1/locks/steps      locks between processes: one byte for each that is held
//	<dir>/v1/tmp/             one directory a process, reclaimed when its owner is gone
//
// docs/adr/0003-store-on-disk.md says why it is so and which guarantee rests on what.
package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// packLimit is the size from which a blob is a file of its own: below it, an append to a pack costs 3 µs, a file 245.
const packLimit = 4096

// version is the name of the format's directory. It changes whenever an older hewn could misread what is there.
const version = "v1"

// Store is an open store. All methods may be called from many goroutines.
type Store struct {
	root  string // <dir>/v1
	lease *os.File
	packs *packs
	dirs  dirCache
	temp  temp
	sync  syncer

	knownMu sync.RWMutex
	known   map[digest.Digest]flavours // larger blobs that are known to be there: nothing goes while the lease is held

	viewMu sync.Mutex
	viewed map[tree.Tree]*viewState

	wait    sync.WaitGroup // background work that Close must wait for
	closing sync.Once
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Views = (*Store)(nil)
)

// Open opens the store in dir, which is made if it does not exist. It reads no pack, so that it takes well under a
// millisecond, except after the machine has been started anew: then what may have been lost is looked for once.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		root:   filepath.Join(abs, version),
		known:  map[digest.Digest]flavours{},
		viewed: map[tree.Tree]*viewState{},
	}
	if err := s.open(); err != nil {
		if s.lease != nil {
			_ = s.lease.Close()
		}
		return nil, openProblem(dir, err)
	}
	return s, nil
}

func openProblem(dir string, err error) error {
	var p *diag.Problem
	if errors.As(err, &p) {
		return err
	}
	p = diag.Environmentf("store-open", "cannot open the store in %s", dir).Because(err)
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		p.Hint("the store must be a directory that you can write to; choose another one with HEWN_STORE")
	}
	return p
}

func (s *Store) open() error {
	lease, err := os.OpenFile(s.path("lease"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // the lease comes last: where it is, all else is
		for _, d := range []string{"packs", "cas", "views", "kv", "locks", "tmp"} {
			if err := os.MkdirAll(s.path(d), 0o755); err != nil {
				return err
			}
		}
		lease, err = os.OpenFile(s.path("lease"), os.O_RDWR|os.O_CREATE, 0o644)
	}
	if err != nil {
		return err
	}
	s.lease = lease
	if err := flock(lease, lockShared); err != nil {
		return err
	}
	s.packs = newPacks(s.path("packs"))
	s.sync.init(s)
	s.temp.init(s.path("tmp"))
	if err := s.recoverIfRestarted(); err != nil {
		return err
	}
	if dead := s.temp.deadOwners(); len(dead) > 0 {
		s.wait.Go(func() { s.temp.reclaim(dead) })
	}
	return nil
}

// Close gives up the lease and removes this process's temporary directory. The store must not be used afterwards.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.wait.Wait()
		s.sync.stop()
		err = errors.Join(s.packs.close(), s.temp.close(), s.lease.Close())
	})
	return err
}

// Dir is the directory that holds this version of the store, for messages.
func (s *Store) Dir() string { return s.root }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// epoch is the one time that every file in the store and in views has: 1980-01-01 UTC, the first that a zip can hold.
var epoch = time.Unix(315532800, 0)

// errClosed is the cause where something was asked of a store after Close.
var errClosed = errors.New("the store is closed")

func ctxErr(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
