package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"time"
)

// Lock waits until nobody else, in this process or another, holds key. The lock is given up with unlock or with the
// process. It is a lock on a file that exists while somebody holds it or waits for it.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	h := sha256.Sum256([]byte(key))
	path := s.path("locks", hex.EncodeToString(h[:16]))
	for wait := 500 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = flock(f, lockAlone|lockTry)
		if err == nil && sameFile(f, path) {
			return func() {
				_ = os.Remove(path) // first: whoever waits with this file open sees that it is no longer the one
				_ = f.Close()
			}, nil
		}
		_ = f.Close()
		if err != nil && err != errLocked {
			return nil, err
		}
		if err == nil {
			continue // removed by its holder between our opening and locking it
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
