package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
)

// logBuffer is how much of a log stays in memory; few logs are longer.
const logBuffer = 256 << 10

// logKeeper keeps the beginning and the end of a log: of one longer than max, the first three quarters (where the cause
// of a failure often stands) and the last quarter (where its effect does).
type logKeeper struct {
	dir     string // for the file that holds what is over logBuffer
	max     int64
	head    int64 // bytes kept in mem and file
	mem     []byte
	file    *os.File
	tail    []byte // a ring of the last bytes, once head is full
	tailAt  int
	dropped int64 // bytes that went into tail, whether or not they are still there
	err     error
}

// Write never fails: an action must not die because its log cannot be kept. The error comes back from store.
func (k *logKeeper) Write(p []byte) (int, error) {
	n := len(p)
	if room := k.max*3/4 - k.head; room > 0 {
		part := p[:min(int64(len(p)), room)]
		k.keep(part)
		k.head += int64(len(part))
		p = p[len(part):]
	}
	for len(p) > 0 {
		size := int(k.max - k.max*3/4)
		if k.tail == nil {
			k.tail = make([]byte, 0, min(size, logBuffer))
		}
		if len(k.tail) < size {
			part := p[:min(len(p), size-len(k.tail))]
			k.tail = append(k.tail, part...)
			k.dropped += int64(len(part))
			p = p[len(part):]
			continue
		}
		copied := copy(k.tail[k.tailAt:], p)
		k.tailAt = (k.tailAt + copied) % size
		k.dropped += int64(copied)
		p = p[copied:]
	}
	return n, nil
}

func (k *logKeeper) keep(p []byte) {
	if k.file == nil && len(k.mem)+len(p) <= logBuffer {
		k.mem = append(k.mem, p...)
		return
	}
	if k.file == nil && k.err == nil {
		k.file, k.err = os.CreateTemp(k.dir, "log-")
		if k.err == nil {
			os.Remove(k.file.Name())
			_, k.err = k.file.Write(k.mem)
			k.mem = nil
		}
	}
	if k.err == nil {
		_, k.err = k.file.Write(p)
	}
}

// store keeps the log as a blob.
func (k *logKeeper) store(ctx context.Context, blobs store.Blobs) (digest.Digest, error) {
	if k.err != nil {
		return digest.Digest{}, fmt.Errorf("keep the log: %w", k.err)
	}
	if k.file == nil && k.tail == nil {
		return blobs.Put(ctx, k.mem)
	}
	readers := []io.Reader{bytes.NewReader(k.mem)}
	if k.file != nil {
		if _, err := k.file.Seek(0, io.SeekStart); err != nil {
			return digest.Digest{}, err
		}
		readers = []io.Reader{k.file}
	}
	if gone := k.dropped - int64(len(k.tail)); gone > 0 {
		readers = append(readers, bytes.NewReader(fmt.Appendf(nil, "\n[hewn: %d bytes of this log were not kept]\n", gone)))
	}
	readers = append(readers, bytes.NewReader(k.tail[k.tailAt:]), bytes.NewReader(k.tail[:k.tailAt]))
	return blobs.Ingest(ctx, io.MultiReader(readers...))
}

// close removes what is on disk.
func (k *logKeeper) close() {
	if k.file != nil {
		k.file.Close()
	}
}

// last gives the last n bytes that were kept.
func (k *logKeeper) last(n int) []byte {
	b := append(append([]byte(nil), k.tail[k.tailAt:]...), k.tail[:k.tailAt]...)
	if more := int64(n - len(b)); more > 0 {
		head := k.mem
		if k.file != nil {
			head = make([]byte, min(more, k.head))
			k.file.ReadAt(head, k.head-int64(len(head)))
		}
		b = append(append([]byte(nil), head...), b...)
	}
	return b[max(0, len(b)-n):]
}
