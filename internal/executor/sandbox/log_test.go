package sandbox

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
)

func TestLogKeeper(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, limit := range []int64{40, 1000, 4 * logBuffer} {
		for _, size := range []int{0, 1, 29, 30, 31, 39, 40, 41, 80, 1000, 1001, 5000, 4 * logBuffer, 4*logBuffer + 1, 12 * logBuffer} {
			t.Run(fmt.Sprintf("%d of %d", size, limit), func(t *testing.T) {
				all := make([]byte, size)
				for i := range all {
					all[i] = byte('a' + random.Intn(26))
				}
				k := &logKeeper{dir: t.TempDir(), max: limit}
				defer k.close()
				for rest := all; len(rest) > 0; {
					n := min(len(rest), 1+random.Intn(1+size/3))
					k.Write(rest[:n])
					rest = rest[n:]
				}
				s := memory.New()
				d, err := k.store(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				got, err := store.ReadBlob(t.Context(), s, d, 1<<30)
				if err != nil {
					t.Fatal(err)
				}
				if int64(size) <= limit {
					if !bytes.Equal(got, all) {
						t.Errorf("%d bytes came back as %d", size, len(got))
					}
				} else {
					head, tail := all[:limit*3/4], all[int64(size)-(limit-limit*3/4):]
					want := fmt.Sprintf("%s\n[hewn: %d bytes of this log were not kept]\n%s", head, int64(size)-limit, tail)
					if string(got) != want {
						t.Errorf("got %.200q, want %.200q", got, want)
					}
				}
				if last := k.last(10); !strings.HasSuffix(string(all), string(last)) || len(last) < min(10, size) {
					t.Errorf("last gives %q of %q", last, all[max(0, size-20):])
				}
			})
		}
	}
}
