package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"sort"
)

// An index lists the records of the beginning of a pack, sorted by key:
//
//	magic 8 | covered 8 | count 8 | checksum of the 24 bytes before 4 | zero 4
//	count times: hash 32 | kind 1 | zero 3 | length 4 | offset 8
//
// It is written once, beside the pack, and renamed into place. It is no more than a hint: each record is checked again
// when it is read, and a pack without an index is scanned.
const (
	indexMagic  = "hewnidx1"
	indexHeader = 32
	indexEntry  = 48
)

// index is a mapped index file. The zero index is empty.
type index struct {
	data    []byte // whole file
	covered int64
	count   int
}

func openIndex(path string) (index, error) {
	f, err := os.Open(path)
	if err != nil {
		return index{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() < indexHeader {
		return index{}, err
	}
	data, err := mmap(f, int(st.Size()))
	if err != nil {
		return index{}, err
	}
	x, ok := parseIndex(data)
	if !ok {
		munmap(data)
	}
	return x, nil
}

// parseIndex looks at the header; an index that is not whole counts as none.
func parseIndex(data []byte) (index, bool) {
	if len(data) < indexHeader || string(data[:8]) != indexMagic ||
		crc32.Checksum(data[:24], castagnoli) != binary.LittleEndian.Uint32(data[24:]) {
		return index{}, false
	}
	covered, count := binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
	if covered > 1<<62 || count > 1<<40 || uint64(len(data)) != indexHeader+count*indexEntry {
		return index{}, false
	}
	return index{data, int64(covered), int(count)}, true
}

func (x index) entry(i int) []byte { return x.data[indexHeader+i*indexEntry:][:indexEntry] }

func (x index) find(k recordKey) (place, bool) {
	var want [33]byte
	copy(want[:], k.hash[:])
	want[32] = byte(k.kind)
	i := sort.Search(x.count, func(i int) bool { return bytes.Compare(x.entry(i)[:33], want[:]) >= 0 })
	if i == x.count {
		return place{}, false
	}
	e := x.entry(i)
	if !bytes.Equal(e[:33], want[:]) {
		return place{}, false
	}
	return decodePlace(e), true
}

func decodePlace(e []byte) place {
	return place{int64(binary.LittleEndian.Uint64(e[40:])), binary.LittleEndian.Uint32(e[36:])}
}

// each calls f for every entry.
func (x index) each(f func(recordKey, place)) {
	for i := range x.count {
		e := x.entry(i)
		k := recordKey{kind: kind(e[32])}
		copy(k.hash[:], e)
		f(k, decodePlace(e))
	}
}

// merged is the content of an index file for x and the records that came behind it, of which later ones stand.
func (x index) merged(tail map[recordKey]place, covered int64) []byte {
	type item struct {
		key recordKey
		at  place
	}
	added := make([]item, 0, len(tail))
	for k, p := range tail {
		added = append(added, item{k, p})
	}
	sort.Slice(added, func(i, j int) bool { return compareKeys(added[i].key, added[j].key) < 0 })
	out := make([]byte, indexHeader, indexHeader+(x.count+len(added))*indexEntry)
	i := 0
	put := func(k recordKey, p place) {
		out = append(out, k.hash[:]...)
		out = append(out, byte(k.kind), 0, 0, 0)
		out = binary.LittleEndian.AppendUint32(out, p.length)
		out = binary.LittleEndian.AppendUint64(out, uint64(p.offset))
	}
	x.each(func(k recordKey, p place) {
		for i < len(added) && compareKeys(added[i].key, k) < 0 {
			put(added[i].key, added[i].at)
			i++
		}
		if i < len(added) && added[i].key == k {
			return // the later one comes in its turn
		}
		put(k, p)
	})
	for ; i < len(added); i++ {
		put(added[i].key, added[i].at)
	}
	copy(out, indexMagic)
	binary.LittleEndian.PutUint64(out[8:], uint64(covered))
	binary.LittleEndian.PutUint64(out[16:], uint64((len(out)-indexHeader)/indexEntry))
	binary.LittleEndian.PutUint32(out[24:], crc32.Checksum(out[:24], castagnoli))
	return out
}

func compareKeys(a, b recordKey) int {
	if c := bytes.Compare(a.hash[:], b.hash[:]); c != 0 {
		return c
	}
	return int(a.kind) - int(b.kind)
}
