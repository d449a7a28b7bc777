package disk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"time"
)

// Lock waits until nobody else, in this process or another, holds key. The lock is given up with unlock or with the
// process. It is a lock on one byte of a file that is there for that and stays empty: a file for each lock would be made
// and removed again for every step. Two keys share a byte once in 2^62, and then one of them waits for the other.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	h := sha256.Sum256([]byte(key))
	at := int64(binary.BigEndian.Uint64(h[:8]) >> 2)
	// Opened each time: such a lock belongs to the open file, so that goroutines exclude each other as well.
	f, err := os.OpenFile(s.path("locks", "steps"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for wait := 500 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		err := lockByte(f, at)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if err != errLocked {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
