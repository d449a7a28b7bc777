package disk

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// What a killed process wrote is still there: the kernel has it. What a machine wrote before its power failed need not
// be, in parts and in any order. So the first process that opens the store in a new run of the machine looks at
// everything written since the last sync of the file system, before it serves anything: packs are cut where they stop
// making sense, larger blobs are hashed, views are dropped, and results whose output is no longer complete are taken
// back. After a clean shutdown that finds nothing; it costs the hashing of at most some seconds' worth of writing.

// recoverIfRestarted does that work if this is a new run of the machine.
func (s *Store) recoverIfRestarted() error {
	id := bootID()
	if s.lastBoot() == id {
		return nil
	}
	f, err := os.OpenFile(s.path("boot.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, lockAlone); err != nil {
		return err
	}
	if s.lastBoot() == id { // another process was faster
		return nil
	}
	if _, err := os.Lstat(s.path("boot")); err == nil {
		if err := s.recover(uncancelled{}); err != nil {
			return err
		}
	}
	tmp, err := s.temp.file()
	if err != nil {
		return err
	}
	if err := os.WriteFile(tmp, []byte(id+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, s.path("boot"))
}

func (s *Store) lastBoot() string {
	b, err := os.ReadFile(s.path("boot"))
	if err != nil {
		return "never"
	}
	return strings.TrimSpace(string(b))
}

// uncancelled is the context of recovery: Open has none to give, and half a recovery would have to be done again.
type uncancelled struct{}

func (uncancelled) Deadline() (t time.Time, ok bool) { return }
func (uncancelled) Done() <-chan struct{}            { return nil }
func (uncancelled) Err() error                       { return nil }
func (uncancelled) Value(any) any                    { return nil }

func (s *Store) recover(ctx context.Context) error {
	var since time.Time
	if st, err := os.Lstat(s.path("synced")); err == nil {
		since = st.ModTime().Add(-2 * time.Second) // for file systems with coarse times
	}
	if err := s.recoverViews(since); err != nil {
		return err
	}
	if err := s.recoverBlobs(ctx, since); err != nil {
		return err
	}
	written, err := s.recoverPacks(since)
	if err != nil {
		return err
	}
	for _, pk := range written {
		if err := s.recoverResults(ctx, pk); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) recoverViews(since time.Time) error {
	entries, err := os.ReadDir(s.path("views"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if st, err := e.Info(); err == nil && !changedSince(st, since) {
			continue
		}
		if err := removeAll(s.path("views", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func changedSince(st fs.FileInfo, since time.Time) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return !ok || !changeTime(sys).Before(since)
}

func (s *Store) recoverBlobs(ctx context.Context, since time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	err := filepath.WalkDir(s.path("cas"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		st, err := e.Info()
		if err != nil || !changedSince(st, since) {
			return err
		}
		g.Go(func() error {
			if blobFileIsWhole(ctx, p, st) {
				return ctxErr(ctx)
			}
			return os.Remove(p)
		})
		return nil
	})
	return errors.Join(err, g.Wait())
}

// blobFileIsWhole says that the file has the content that its name promises.
func blobFileIsWhole(ctx context.Context, path string, st fs.FileInfo) bool {
	name := strings.TrimSuffix(filepath.Base(path), ".x")
	hex, size, ok := strings.Cut(name, "-")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || st.Size() != n {
		return false
	}
	want, err := digest.FromHex(hex, n)
	if err != nil {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	got, err := hashFile(ctx, f)
	return err == nil && got == want
}

// recoverPacks cuts off what is not whole and gives the packs that were written to.
func (s *Store) recoverPacks(since time.Time) (written []*pack, err error) {
	names, err := filepath.Glob(s.path("packs", "*.idx"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if st, err := os.Lstat(name); err != nil || changedSince(st, since) {
			_ = os.Remove(name)
		}
	}
	if err := s.packs.load(); err != nil {
		return nil, err
	}
	s.packs.mu.Lock()
	defer s.packs.mu.Unlock()
	for _, pk := range s.packs.list {
		st, err := pk.file.Stat()
		if err != nil {
			return nil, err
		}
		if !changedSince(st, since) {
			continue
		}
		if err := flock(pk.file, lockAlone|lockTry); err != nil {
			return nil, err
		}
		if err := pk.adopt(); err != nil {
			return nil, err
		}
		written = append(written, pk)
	}
	return written, nil
}

// recoverResults takes back the results of a pack whose output is not complete any more.
func (s *Store) recoverResults(ctx context.Context, pk *pack) error {
	seen := map[tree.Tree]bool{}
	newest := map[recordKey]place{}
	collect := func(k recordKey, at place) {
		if k.kind == kindResult {
			newest[k] = at
		}
	}
	pk.idx.each(collect)
	for k, at := range pk.tail {
		collect(k, at)
	}
	var lost []recordKey
	for k, at := range newest {
		if at.length == 0 {
			continue
		}
		var r store.Result
		b, err := readRecord(pk.file, k, at)
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err == nil && !r.Output.IsZero() {
			var missing []digest.Digest
			missing, err = store.MissingOf(ctx, s, r.Output, seen)
			if err == nil && len(missing) == 0 {
				continue
			}
		} else if err == nil {
			continue
		}
		if e := ctxErr(ctx); e != nil {
			return e
		}
		lost = append(lost, k)
	}
	slices.SortFunc(lost, compareKeys)
	out := []byte{}
	for _, k := range lost {
		at := place{pk.end + int64(len(out)), 0}
		out = appendRecord(out, k, nil)
		pk.tail[k] = at
	}
	_, err := pk.file.WriteAt(out, pk.end)
	pk.end += int64(len(out))
	return err
}
