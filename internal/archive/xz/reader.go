// Package xz decompresses .xz streams of the kind that everybody writes: LZMA2 as the only filter. It exists because
// unpacking is the bottleneck of a Debian root, and this takes two thirds of the time of the libraries that there are in
// Go (it is as fast as liblzma); what it does not know (other filters) it says at once, and the caller takes a library.
//
// The format is that of "The .xz File Format" 1.2.1; all its checks are verified.
package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
)

// Errors of a Reader. A stream that ends in the middle gives io.ErrUnexpectedEOF.
var (
	ErrData        = errors.New("xz: the data is corrupt")
	ErrUnsupported = errors.New("xz: filter or check that this decoder does not know")
	ErrMemory      = errors.New("xz: the dictionary is larger than the limit")
)

const (
	headerMagic = "\xfd7zXZ\x00"
	footerMagic = "YZ"
	headerSize  = 12
	maxBlocks   = 1 << 20
	maxChunk    = 2 << 20 // uncompressed bytes of an LZMA2 chunk
)

// Reader gives the plain bytes of an .xz file. It is for one goroutine.
type Reader struct {
	r       *counting
	maxDict int
	dec     *decoder
	check   byte
	sum     hash.Hash
	crc64   *crc64.Table
	blocks  []record
	err     error

	// The window: win[base:] is what the current block has given so far, as far as matches may reach back; what lies
	// from out on was not read yet.
	win       []byte
	base, out int
	dict      int
	inBlock   bool
	start     int64 // of the block in the file
	total     int64 // bytes that the block gave
	seen      uint  // bytes since the dictionary was reset
	fresh     bool  // the block's first chunk must reset the dictionary
	needProps bool
	needState bool
	size      blockSize
}

// record is what the index says of a block.
type record struct{ unpadded, size int64 }

// blockSize is what a block's header says of its size; -1 where it says nothing.
type blockSize struct{ header, compressed, plain int64 }

// counting counts what was read.
type counting struct {
	*bufio.Reader
	n int64
}

func (c *counting) full(b []byte) error {
	n, err := io.ReadFull(c.Reader, b)
	c.n += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (c *counting) byte() (byte, error) {
	b, err := c.ReadByte()
	if err == nil {
		c.n++
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// Supported says whether a file that begins with head is one for this package. head should have all of the first
// block's header: 1,036 bytes are always enough.
func Supported(head []byte) bool {
	if len(head) <= headerSize || !bytes.HasPrefix(head, []byte(headerMagic)) {
		return false
	}
	if _, ok := checkSize(head[7]); !ok {
		return false
	}
	size := (int(head[headerSize]) + 1) * 4
	if size == 4 || len(head) < headerSize+size {
		return size == 4 // an index: the file is empty
	}
	_, _, err := parseBlockHeader(head[headerSize : headerSize+size])
	return !errors.Is(err, ErrUnsupported)
}

// NewReader reads from r. A block whose dictionary is larger than maxDict is refused with ErrMemory; up to twice that
// much memory is used, and less for content that is smaller.
func NewReader(r io.Reader, maxDict int) (*Reader, error) {
	z := &Reader{r: &counting{Reader: bufio.NewReaderSize(r, 64<<10)}, maxDict: maxDict, dec: &decoder{}, crc64: crc64.MakeTable(crc64.ECMA)}
	return z, z.streamHeader()
}

// Read gives plain bytes. The end is given only after the last check was verified.
func (z *Reader) Read(p []byte) (int, error) {
	for z.out == len(z.win) && z.err == nil && len(p) > 0 {
		z.err = z.step()
	}
	n := copy(p, z.win[z.out:])
	z.out += n
	if n == 0 && len(p) > 0 {
		return 0, z.err
	}
	return n, nil
}

// step decodes the next chunk, or goes on to the next block or stream.
func (z *Reader) step() error {
	if z.inBlock {
		return z.nextChunk()
	}
	size, err := z.r.byte()
	if err != nil {
		return err
	}
	if size == 0 {
		if err := z.index(); err != nil {
			return err
		}
		return z.nextStream()
	}
	return z.blockHeader(size)
}

func checkSize(kind byte) (int, bool) {
	switch kind {
	case 0:
		return 0, true
	case 1:
		return 4, true
	case 4:
		return 8, true
	case 10:
		return 32, true
	}
	return 0, false
}

func (z *Reader) streamHeader() error {
	var h [headerSize]byte
	if err := z.r.full(h[:]); err != nil {
		return err
	}
	if string(h[:6]) != headerMagic || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return ErrData
	}
	z.check, z.blocks = h[7], z.blocks[:0]
	if _, ok := checkSize(z.check); !ok || h[6] != 0 {
		return ErrUnsupported
	}
	switch z.check {
	case 0:
		z.sum = nil
	case 1:
		z.sum = crc32.NewIEEE()
	case 4:
		z.sum = crc64.New(z.crc64)
	case 10:
		z.sum = sha256.New()
	}
	return nil
}

// nextStream goes on to a stream that follows, over padding of four zero bytes, or gives io.EOF.
func (z *Reader) nextStream() error {
	for {
		head, err := z.r.Peek(4)
		if len(head) == 0 && errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil || binary.LittleEndian.Uint32(head) != 0 {
			break
		}
		_, _ = z.r.Discard(4)
	}
	return z.streamHeader()
}

// parseBlockHeader reads a block's header, its size byte included, and gives the dictionary's size.
func parseBlockHeader(h []byte) (s blockSize, dict int64, err error) {
	body := h[:len(h)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(h[len(body):]) {
		return s, 0, ErrData
	}
	s = blockSize{header: int64(len(h)), compressed: -1, plain: -1}
	flags, rest := body[1], body[2:]
	if flags&0x3f != 0 { // more than one filter, or flags that do not exist yet
		return s, 0, ErrUnsupported
	}
	for _, f := range []struct {
		bit byte
		to  *int64
	}{{0x40, &s.compressed}, {0x80, &s.plain}} {
		if flags&f.bit == 0 {
			continue
		}
		if *f.to, rest, err = number(rest); err != nil {
			return s, 0, err
		}
	}
	if len(rest) < 3 {
		return s, 0, ErrData
	}
	if rest[0] != 0x21 || rest[1] != 1 {
		return s, 0, ErrUnsupported
	}
	for _, b := range rest[3:] {
		if b != 0 {
			return s, 0, ErrUnsupported
		}
	}
	bits := rest[2]
	switch {
	case bits > 40:
		return s, 0, ErrUnsupported
	case bits == 40:
		return s, 1<<32 - 1, nil
	}
	return s, int64(2|bits&1) << (bits/2 + 11), nil
}

// number reads an integer of variable length.
func number(b []byte) (int64, []byte, error) {
	var v int64
	for i := 0; i < 9 && i < len(b); i++ {
		v |= int64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			if b[i] == 0 && i > 0 {
				break
			}
			return v, b[i+1:], nil
		}
	}
	return 0, nil, ErrData
}

func (z *Reader) blockHeader(size byte) error {
	z.start = z.r.n - 1
	h := make([]byte, (int(size)+1)*4)
	h[0] = size
	if err := z.r.full(h[1:]); err != nil {
		return err
	}
	s, dict, err := parseBlockHeader(h)
	if err != nil {
		return err
	}
	if dict > int64(z.maxDict) {
		return ErrMemory
	}
	if len(z.blocks) >= maxBlocks {
		return ErrData
	}
	z.size, z.dict, z.inBlock, z.total = s, int(dict), true, 0
	z.fresh, z.needProps, z.needState = true, true, true
	z.win, z.out, z.base = z.win[:0], 0, 0
	if z.sum != nil {
		z.sum.Reset()
	}
	return nil
}

// nextChunk decodes one LZMA2 chunk, or ends the block.
func (z *Reader) nextChunk() error {
	control, err := z.r.byte()
	if err != nil {
		return err
	}
	if control == 0 {
		return z.endBlock()
	}
	if control >= 0xe0 || control == 1 { // resets the dictionary
		z.base, z.seen, z.fresh = len(z.win), 0, false
	} else if z.fresh {
		return ErrData
	}
	var h [4]byte
	if control < 0x80 {
		if control > 2 {
			return ErrData
		}
		if err := z.r.full(h[:2]); err != nil {
			return err
		}
		from := z.grow(int(h[0])<<8 + int(h[1]) + 1)
		return z.done(from, z.r.full(z.win[from:]))
	}
	if err := z.r.full(h[:4]); err != nil {
		return err
	}
	plain := int(control&0x1f)<<16 + int(h[0])<<8 + int(h[1]) + 1
	packed := int(h[2])<<8 + int(h[3]) + 1
	if err := z.prepare(control); err != nil {
		return err
	}
	if err := z.r.full(z.dec.in[:packed]); err != nil {
		return err
	}
	clear(z.dec.in[packed : packed+slack])
	from := z.grow(plain)
	return z.done(from, z.dec.chunk(z.win, z.base, from, z.seen, uint(packed)))
}

// prepare resets what a chunk of LZMA says must be reset.
func (z *Reader) prepare(control byte) error {
	switch {
	case control >= 0xc0:
		b, err := z.r.byte()
		if err != nil {
			return err
		}
		lc, lp, pb := uint(b)%9, uint(b)/9%5, uint(b)/45
		if b >= 225 || lc+lp > 4 {
			return ErrData
		}
		z.dec.lc, z.dec.lp, z.dec.pb, z.needProps = lc, lp, pb, false
	case z.needProps:
		return ErrData
	}
	if control >= 0xa0 {
		z.dec.reset()
		z.needState = false
	} else if z.needState {
		return ErrData
	}
	return nil
}

// grow makes room for n bytes at the end of the window and gives where they begin. Everything before was read. The
// window grows with its content up to twice the dictionary, and slides from then on.
func (z *Reader) grow(n int) int {
	if limit := 2*z.dict + maxChunk; len(z.win)+n > limit {
		keep := min(len(z.win)-z.base, z.dict)
		copy(z.win, z.win[len(z.win)-keep:])
		z.win, z.base = z.win[:keep], 0
	}
	from := len(z.win)
	if from+n > cap(z.win) {
		bigger := make([]byte, from, min(max(2*cap(z.win), from+n, 256<<10), 2*z.dict+2*maxChunk))
		copy(bigger, z.win)
		z.win = bigger
	}
	z.win, z.out = z.win[:from+n], from
	return from
}

// done takes what a chunk gave, win[from:], unless it failed.
func (z *Reader) done(from int, err error) error {
	if err != nil {
		z.win, z.out = z.win[:from], from
		return err
	}
	z.total += int64(len(z.win) - from)
	z.seen += uint(len(z.win) - from)
	if z.sum != nil {
		z.sum.Write(z.win[from:])
	}
	return nil
}

// endBlock checks a block's sizes, padding and checksum.
func (z *Reader) endBlock() error {
	packed := z.r.n - z.start - z.size.header
	if z.size.compressed >= 0 && z.size.compressed != packed || z.size.plain >= 0 && z.size.plain != z.total {
		return ErrData
	}
	n, _ := checkSize(z.check)
	z.blocks = append(z.blocks, record{z.r.n - z.start + int64(n), z.total})
	for (z.r.n-z.start)%4 != 0 {
		if b, err := z.r.byte(); err != nil || b != 0 {
			return errors.Join(err, ErrData)
		}
	}
	z.inBlock = false
	if z.sum == nil {
		return nil
	}
	got, want := make([]byte, n), z.sum.Sum(nil)
	if err := z.r.full(got); err != nil {
		return err
	}
	if z.check != 10 { // CRCs stand in little-endian order, hash.Hash gives big-endian
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(got, want) {
		return ErrData
	}
	return nil
}

// index reads the index, whose first byte was read, and the footer, and compares them with what was decoded.
func (z *Reader) index() error {
	start := z.r.n - 1
	crc := crc32.NewIEEE()
	crc.Write([]byte{0})
	next := func() (int64, error) {
		var buf []byte
		for len(buf) < 9 {
			b, err := z.r.byte()
			if err != nil {
				return 0, err
			}
			crc.Write([]byte{b})
			if buf = append(buf, b); b&0x80 == 0 {
				break
			}
		}
		v, _, err := number(buf)
		return v, err
	}
	count, err := next()
	if err != nil || count != int64(len(z.blocks)) {
		return errors.Join(err, ErrData)
	}
	for _, want := range z.blocks {
		for _, w := range []int64{want.unpadded, want.size} {
			if got, err := next(); err != nil || got != w {
				return errors.Join(err, ErrData)
			}
		}
	}
	for (z.r.n-start)%4 != 0 {
		b, err := z.r.byte()
		if err != nil || b != 0 {
			return errors.Join(err, ErrData)
		}
		crc.Write([]byte{b})
	}
	var f [4 + headerSize]byte
	if err := z.r.full(f[:]); err != nil {
		return err
	}
	size := z.r.n - headerSize - start
	footer := f[4:]
	if binary.LittleEndian.Uint32(f[:]) != crc.Sum32() || string(footer[10:]) != footerMagic || footer[8] != 0 || footer[9] != z.check ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) || (int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4 != size {
		return ErrData
	}
	return nil
}
