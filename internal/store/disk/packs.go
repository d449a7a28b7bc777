package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// pack is one pack file as this process knows it.
type pack struct {
	path string // without extension
	file *os.File
	idx  index
	// tail has the records behind those of idx, up to the offset end. What comes later was written by somebody else
	// since, or is not whole yet.
	tail map[recordKey]place
	end  int64
}

// packs is all packs of a store. Nothing is read before the first look-up. A process appends to a pack of its own,
// whose file it has locked; it finds what others appended when a look-up finds nothing else.
type packs struct {
	dir string

	mu     sync.RWMutex // guards all below, and the fields of each pack
	loaded bool
	closed bool
	list   []*pack
	listed time.Time // mtime of dir when it was last read; zero if that cannot be relied on

	appendMu sync.Mutex // serialises append; is taken before mu
	own      *pack
	buf      []byte
}

func newPacks(dir string) *packs { return &packs{dir: dir} }

// get gives the content of the newest good record under k. With look, what other processes have appended counts too.
func (p *packs) get(k recordKey, look bool) ([]byte, bool, error) {
	var out []byte
	found := false
	err := p.each(k, look, func(b []byte) bool {
		out, found = b, true
		return false
	})
	return out, found, err
}

// each calls f with the content of the newest record under k in each pack, until f says false.
func (p *packs) each(k recordKey, look bool, f func([]byte) bool) error {
	if err := p.load(); err != nil {
		return err
	}
	if p.tryEach(k, f) || !look {
		return nil
	}
	// Not only where this brings news: another goroutine may have taken them in since the first try.
	if _, err := p.refresh(); err != nil {
		return err
	}
	p.tryEach(k, f)
	return nil
}

// tryEach says whether f was called at all.
func (p *packs) tryEach(k recordKey, f func([]byte) bool) (called bool) {
	type hit struct {
		file *os.File
		at   place
	}
	var room [4]hit
	hits := room[:0]
	p.mu.RLock()
	for _, pk := range slices.Backward(p.list) {
		if at, ok := pk.find(k); ok {
			hits = append(hits, hit{pk.file, at})
		}
	}
	p.mu.RUnlock()
	for _, h := range hits {
		b, err := readRecord(h.file, k, h.at)
		if err != nil {
			continue // lost with a power failure: as if it had never been there
		}
		called = true
		if !f(b) {
			break
		}
	}
	return called
}

func (pk *pack) find(k recordKey) (place, bool) {
	if at, ok := pk.tail[k]; ok {
		return at, true
	}
	return pk.idx.find(k)
}

// has says whether there is a record under k without reading it.
func (p *packs) has(k recordKey) (length uint32, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, pk := range slices.Backward(p.list) {
		if at, ok := pk.find(k); ok {
			return at.length, true
		}
	}
	return 0, false
}

// load reads the indexes and the tails behind them, once.
func (p *packs) load() error {
	p.mu.RLock()
	loaded, closed := p.loaded, p.closed
	p.mu.RUnlock()
	if closed {
		return errClosed
	}
	if loaded {
		return nil
	}
	_, err := p.refresh()
	return err
}

// refresh takes in what other processes have written; news says that there was something.
func (p *packs) refresh() (news bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, errClosed
	}
	if err := p.relist(); err != nil {
		return false, err
	}
	for _, pk := range p.list {
		if pk == p.own {
			continue
		}
		grew, err := pk.readTail()
		if err != nil {
			return news, err
		}
		news = news || grew
	}
	p.loaded = true
	return news, nil
}

func (p *packs) relist() error {
	st, err := os.Stat(p.dir)
	if err != nil {
		return err
	}
	if p.listed.Equal(st.ModTime()) {
		return nil
	}
	now := time.Now()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".pack")
		if !ok || slices.ContainsFunc(p.list, func(pk *pack) bool { return filepath.Base(pk.path) == name }) {
			continue
		}
		pk, err := openPack(filepath.Join(p.dir, name), 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.list = append(p.list, pk)
	}
	// A time from just now may hide a file that is made within the same tick of the clock.
	if now.Sub(st.ModTime()) > time.Second {
		p.listed = st.ModTime()
	}
	return nil
}

func openPack(path string, flag int) (*pack, error) {
	f, err := os.OpenFile(path+".pack", os.O_RDWR|flag, 0o644)
	if err != nil {
		return nil, err
	}
	pk := &pack{path: path, file: f, tail: map[recordKey]place{}}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if x, err := openIndex(path + ".idx"); err == nil && x.covered <= st.Size() {
		pk.idx, pk.end = x, x.covered
	}
	return pk, nil
}

// readTail takes in whole records behind those that are known.
func (pk *pack) readTail() (grew bool, err error) {
	st, err := pk.file.Stat()
	if err != nil || st.Size() <= pk.end {
		return false, err
	}
	end, err := scan(pk.file, pk.end, st.Size(), func(k recordKey, at place) { pk.tail[k] = at })
	grew, pk.end = end > pk.end, end
	return grew, err
}

// add appends a record to this process's own pack.
func (p *packs) add(k recordKey, content []byte) error {
	if len(content) > maxRecord {
		return fmt.Errorf("a record of %d bytes is over the limit of %d", len(content), maxRecord)
	}
	p.appendMu.Lock()
	defer p.appendMu.Unlock()
	if err := p.ensureOwn(recordHeader + len(content)); err != nil {
		return err
	}
	p.buf = appendRecord(p.buf[:0], k, content)
	at := p.own.end // only add changes it for the own pack
	if _, err := p.own.file.WriteAt(p.buf, at); err != nil {
		_ = p.own.file.Truncate(at)
		return err
	}
	if cap(p.buf) > 1<<20 {
		p.buf = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own.tail[k] = place{at, uint32(len(content))}
	p.own.end = at + recordHeader + int64(len(content))
	if n := len(p.own.tail); n > 1<<16 && n > p.own.idx.count/4 {
		return p.own.writeIndex()
	}
	return nil
}

// ensureOwn finds a pack that nobody writes to and which has room, or makes a new one.
func (p *packs) ensureOwn(room int) error {
	if p.own != nil && p.own.end+int64(room) <= maxPack {
		return nil
	}
	if err := p.load(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.own != nil {
		if err := p.own.writeIndex(); err != nil {
			return err
		}
		p.own = nil // stays locked until Close: it is full
	}
	p.listed = time.Time{}
	if err := p.relist(); err != nil {
		return err
	}
	last := 0
	for _, pk := range p.list {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(pk.path), "%d", &n); err == nil {
			last = max(last, n)
		}
		if p.own == nil && pk.end+int64(room) <= maxPack && flock(pk.file, lockAlone|lockTry) == nil {
			if err := pk.adopt(); err != nil {
				return err
			}
			if pk.end+int64(room) <= maxPack {
				p.own = pk
				return nil
			}
		}
	}
	for {
		last++
		pk, err := openPack(filepath.Join(p.dir, fmt.Sprintf("%04d", last)), os.O_CREATE|os.O_EXCL)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		p.list = append(p.list, pk)
		if flock(pk.file, lockAlone|lockTry) == nil {
			p.own = pk
			return pk.adopt()
		}
	}
}

// adopt cuts off what a former owner left unfinished. The caller holds the pack's lock, so nobody else is writing.
func (pk *pack) adopt() error {
	if _, err := pk.readTail(); err != nil {
		return err
	}
	st, err := pk.file.Stat()
	if err == nil && st.Size() > pk.end {
		err = pk.file.Truncate(pk.end)
	}
	return err
}

// writeIndex writes an index over all that is known of the pack. The caller holds the pack's lock.
func (pk *pack) writeIndex() error {
	if len(pk.tail) == 0 {
		return nil
	}
	name := pk.path + ".idx"
	if err := os.WriteFile(name+".new", pk.idx.merged(pk.tail, pk.end), 0o644); err != nil {
		_ = os.Remove(name + ".new")
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	x, err := openIndex(name)
	if err != nil {
		return err
	}
	if x.count == 0 { // cannot be, unless somebody else wrote there
		return nil
	}
	if pk.idx.data != nil {
		munmap(pk.idx.data)
	}
	pk.idx, pk.tail = x, map[recordKey]place{}
	return nil
}

// close writes indexes where scanning would cost the next process more than writing costs this one: behind 1,024
// records (2 ms), or a thirty-second of a large pack.
func (p *packs) close() error {
	p.appendMu.Lock()
	defer p.appendMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var first error
	for _, pk := range p.list {
		long := len(pk.tail) > 1024 && len(pk.tail) > pk.idx.count/32
		if long && (pk == p.own || flock(pk.file, lockAlone|lockTry) == nil) {
			if err := pk.writeIndex(); err != nil && first == nil {
				first = err
			}
		}
		if pk.idx.data != nil {
			munmap(pk.idx.data)
		}
		if err := pk.file.Close(); err != nil && first == nil {
			first = err
		}
	}
	p.list, p.own = nil, nil
	return first
}
