package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hewn.example/hewn/internal/digest"
)

func testKey(i int) recordKey {
	k := recordKey{digest.Of(fmt.Append(nil, i)).Hash(), kindBlob}
	if i%3 == 0 {
		k.kind = kindResult
	}
	return k
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	var x index
	want := map[recordKey]place{}
	for round := range 4 { // each index is made of the one before and what came since
		tail := map[recordKey]place{}
		for i := range 300 {
			k := testKey(i * (round + 1))
			tail[k] = place{int64(1000*round + i), uint32(i)}
			want[k] = tail[k]
		}
		name := filepath.Join(dir, fmt.Sprint(round))
		if err := os.WriteFile(name, x.merged(tail, int64(round)), 0o644); err != nil {
			t.Fatal(err)
		}
		var err error
		if x, err = openIndex(name); err != nil || x.covered != int64(round) || x.count != len(want) {
			t.Fatalf("round %d: covered %d, %d of %d, %v", round, x.covered, x.count, len(want), err)
		}
		for k, p := range want {
			if got, ok := x.find(k); !ok || got != p {
				t.Fatalf("round %d: got %v %v, want %v", round, got, ok, p)
			}
		}
		if _, ok := x.find(testKey(-1)); ok {
			t.Error("found what is not there")
		}
	}
	for cut := range x.data[:100] {
		if _, ok := parseIndex(x.data[:cut]); ok {
			t.Errorf("%d bytes of an index were taken", cut)
		}
	}
}

func FuzzScan(f *testing.F) {
	b := appendRecord(nil, testKey(1), []byte("one"))
	b = appendRecord(b, testKey(3), nil)
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(append(b, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		type record struct {
			k recordKey
			p place
		}
		var got []record
		end, err := scan(bytes.NewReader(b), 0, int64(len(b)), func(k recordKey, p place) { got = append(got, record{k, p}) })
		if err != nil {
			t.Fatal(err)
		}
		// The records are exactly what leads from the beginning to end.
		var again []byte
		for _, r := range got {
			start := int(r.p.offset) + recordHeader
			again = appendRecord(again, r.k, b[start:start+int(r.p.length)])
		}
		if int64(len(again)) != end || !bytes.Equal(again, b[:end]) {
			t.Errorf("%d records of %d bytes, end at %d", len(got), len(again), end)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(index{}.merged(map[recordKey]place{testKey(1): {5, 6}, testKey(2): {7, 8}}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, ok := parseIndex(b)
		if !ok {
			return
		}
		x.find(testKey(1))
		x.each(func(recordKey, place) {})
	})
}
