package layer

import (
	"bytes"
	"fmt"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// chunkSize is how much of the tar is compressed on its own. Smaller ones compress worse (zstd, 1.1 GB of mixed files:
	// 1 MiB 345.6 MB, 2 MiB 341.6, 4 MiB 339.0, 8 MiB 337.3; one stream of `zstd -3` 332.1), larger ones take memory and
	// leave processors idle where a layer has only a few.
	chunkSize = 2 << 20
	zstdLevel = zstd.SpeedDefault // what is faster is 9 % larger, what is smaller takes over twice the time
	gzipLevel = 6

	library = "klauspost/compress v1.20.3"
)

// CodecVersion names all that decides which bytes a tar becomes: library, version, level, chunk. It belongs into the key
// of every step that makes a layer.
func CodecVersion(c Compression) string {
	switch c {
	case Gzip:
		return fmt.Sprintf("%s gzip %d chunk %d", library, gzipLevel, chunkSize)
	case None:
		return "none"
	}
	return fmt.Sprintf("%s zstd %s chunk %d", library, zstdLevel, chunkSize)
}

// codec compresses one chunk at a time, each to a frame or member that stands alone.
type codec interface {
	// encode appends to dst, which is empty, what src becomes.
	encode(dst, src []byte) ([]byte, error)
}

// codecs keeps those that are not in use: the tables of one take some megabytes.
var codecs = map[Compression]*freeList[codec]{
	Zstd: {make(chan codec, maxProcs), newZstd},
	Gzip: {make(chan codec, maxProcs), newGzip},
}

type zstdCodec struct{ enc *zstd.Encoder }

func newZstd() codec {
	// No checksum: layers are named by their digest. The window is a chunk, which saves memory and costs nothing.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel), zstd.WithWindowSize(chunkSize),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return zstdCodec{enc}
}

func (c zstdCodec) encode(dst, src []byte) ([]byte, error) { return c.enc.EncodeAll(src, dst), nil }

type gzipCodec struct{ w *gzip.Writer }

func newGzip() codec {
	w, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return gzipCodec{w}
}

func (c gzipCodec) encode(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	c.w.Reset(out)
	c.w.ModTime = time.Unix(0, 0) // "no time"; the zero time is written as some day of 2042
	if _, err := c.w.Write(src); err != nil {
		return nil, err
	}
	if err := c.w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
