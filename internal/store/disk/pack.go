package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A pack is a file of records, one after the other:
//
//	magic 4 | checksum 4 | length 4 | kind 1 | zero 3 | key 32 | content
//
// in little endian; the checksum (CRC-32C) is over all that follows it. The first record that is not whole ends the
// pack: it is being written just now, or its writer was killed, and then the next owner cuts it off.
const (
	recordMagic  = 0x6e776831 // "1hwn"
	recordHeader = 48
	// maxRecord bounds what a length field can make a reader allocate. A directory of half a million entries fits.
	maxRecord = 64 << 20
	// maxPack is where a writer starts a new pack.
	maxPack = 1 << 30
)

// kind keeps keys of blobs apart from keys of results.
type kind uint8

const (
	kindBlob   kind = 1
	kindResult kind = 2 // an empty content takes the result back
)

// recordKey is what a record is found by.
type recordKey struct {
	hash [32]byte
	kind kind
}

// place is where a record's content lies in its pack.
type place struct {
	offset int64 // of the header
	length uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends one whole record to b.
func appendRecord(b []byte, k recordKey, content []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = append(b, byte(k.kind), 0, 0, 0)
	b = append(b, k.hash[:]...)
	b = append(b, content...)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// errTorn says that a pack ends, at some offset, in something that is not a whole record.
var errTorn = errors.New("not a whole record")

// parseHeader reads the header of a record; its checksum is still to be compared.
func parseHeader(h []byte) (k recordKey, length, sum uint32, err error) {
	if len(h) < recordHeader || binary.LittleEndian.Uint32(h) != recordMagic {
		return k, 0, 0, errTorn
	}
	sum = binary.LittleEndian.Uint32(h[4:])
	length = binary.LittleEndian.Uint32(h[8:])
	k.kind = kind(h[12])
	copy(k.hash[:], h[16:48])
	if length > maxRecord || k.kind != kindBlob && k.kind != kindResult || h[13]|h[14]|h[15] != 0 {
		return k, 0, 0, errTorn
	}
	return k, length, sum, nil
}

// scan calls f for each whole record of r from an offset on, and gives the offset behind the last of them. What is
// read stays within size. An error is one of reading; a torn record is the end, and no error.
func scan(r io.ReaderAt, from, size int64, f func(recordKey, place)) (end int64, err error) {
	const chunk = 1 << 20
	buf := make([]byte, 0, chunk)
	at := from // offset in the file of buf[0]
	for {
		for len(buf) >= recordHeader {
			k, length, sum, err := parseHeader(buf)
			if err != nil {
				return at, nil
			}
			n := recordHeader + int(length)
			if len(buf) < n {
				break
			}
			if crc32.Checksum(buf[8:n], castagnoli) != sum {
				return at, nil
			}
			f(k, place{at, length})
			buf, at = buf[n:], at+int64(n)
		}
		need := chunk
		if len(buf) >= recordHeader {
			_, length, _, _ := parseHeader(buf)
			need = max(need, recordHeader+int(length))
		}
		left := size - at - int64(len(buf))
		if left <= 0 {
			return at, nil
		}
		grow := int(min(int64(need-len(buf)), left))
		if grow <= 0 {
			return at, nil
		}
		next := make([]byte, len(buf)+grow)
		copy(next, buf)
		n, err := r.ReadAt(next[len(buf):], at+int64(len(buf)))
		if n == 0 {
			if err == io.EOF {
				err = nil
			}
			return at, err
		}
		buf = next[:len(buf)+n]
	}
}

// readRecord gives the content of the record at p, which must be the one of k.
func readRecord(f *os.File, k recordKey, p place) ([]byte, error) {
	if p.length > maxRecord || p.offset < 0 {
		return nil, errTorn
	}
	buf := make([]byte, recordHeader+int(p.length))
	if _, err := f.ReadAt(buf, p.offset); err != nil {
		return nil, fmt.Errorf("%s at %d: %w", f.Name(), p.offset, err)
	}
	got, length, sum, err := parseHeader(buf)
	if err == nil && (got != k || length != p.length || crc32.Checksum(buf[8:], castagnoli) != sum) {
		err = errTorn
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", f.Name(), p.offset, err)
	}
	return buf[recordHeader:], nil
}
