package disk_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

// powerFails makes the store look as if the machine had been started anew since, after harm was done.
func powerFails(t *testing.T, dir string, harm func(v1 string)) *disk.Store {
	t.Helper()
	v1 := filepath.Join(dir, "v1")
	harm(v1)
	if err := os.WriteFile(filepath.Join(v1, "boot"), []byte("another boot\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v %v", pattern, names, err)
	}
	return names[0]
}

func fill(t *testing.T, n int) (dir string, outputs []tree.Tree) {
	t.Helper()
	dir = t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		tr, err := stepResult(s, i)
		if err == nil {
			err = s.Record(t.Context(), stepKey(i), store.Result{Output: tr})
		}
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, tr)
	}
	if _, _, err := s.View(t.Context(), outputs[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, outputs
}

func TestPowerFailure(t *testing.T) {
	harms := map[string]func(t *testing.T, v1 string) (lost bool){
		"none": func(*testing.T, string) bool { return false },
		"a blob is short": func(t *testing.T, v1 string) bool {
			if err := os.Truncate(one(t, v1+"/cas/*/*"), 100); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"a blob is zeros": func(t *testing.T, v1 string) bool {
			p := one(t, v1+"/cas/*/*.x")
			st, _ := os.Stat(p)
			if err := os.WriteFile(p, make([]byte, st.Size()), 0o755); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"the pack lost its end": func(t *testing.T, v1 string) bool {
			p := one(t, v1+"/packs/*.pack")
			st, _ := os.Stat(p)
			if err := os.Truncate(p, st.Size()*2/3); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"the pack has a hole": func(t *testing.T, v1 string) bool {
			p := one(t, v1+"/packs/*.pack")
			b, _ := os.ReadFile(p)
			clear(b[len(b)/2 : len(b)/2+300])
			if err := os.WriteFile(p, b, 0o644); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"the pack ends in rubbish": func(t *testing.T, v1 string) bool {
			f, err := os.OpenFile(one(t, v1+"/packs/*.pack"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write(bytes.Repeat([]byte("rubbish"), 20))
			_ = f.Close()
			return false
		},
		"the pack is gone": func(t *testing.T, v1 string) bool {
			if err := os.Remove(one(t, v1+"/packs/*.pack")); err != nil {
				t.Fatal(err)
			}
			return true
		},
		"a view is wrong": func(t *testing.T, v1 string) bool {
			view := one(t, v1+"/views/*")
			if err := os.Truncate(view+"/a/small", 0); err != nil {
				t.Fatal(err)
			}
			return false
		},
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			dir, outputs := fill(t, 12)
			lost := false
			s := powerFails(t, dir, func(v1 string) { lost = harm(t, v1) })
			gone := 0
			for i, want := range outputs {
				res, err := s.Result(t.Context(), stepKey(i))
				if errors.Is(err, store.ErrNotFound) {
					gone++
					continue
				}
				if err != nil || res.Output != want {
					t.Errorf("step %d: %v %v", i, res, err)
					continue
				}
				path, release, err := s.View(t.Context(), res.Output)
				if err != nil {
					t.Errorf("step %d: %v", i, err)
					continue
				}
				mustHold(t, s, path, want)
				release()
			}
			if (gone > 0) != lost {
				t.Errorf("%d results are gone", gone)
			}
			for i, want := range outputs { // what was lost can be made again
				tr, err := stepResult(s, i)
				if err == nil {
					err = s.Record(t.Context(), stepKey(i), store.Result{Output: tr})
				}
				if err != nil || tr != want {
					t.Fatalf("step %d again: %v", i, err)
				}
				if _, err := s.Result(t.Context(), stepKey(i)); err != nil {
					t.Errorf("step %d again: %v", i, err)
				}
			}
		})
	}
}

func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for i := range 20 {
		b := storetest.Content(uint64(i), 50+i*150)
		want = append(want, b)
		if _, err := s.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	pack := one(t, dir+"/v1/packs/*.pack")
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) - 48 - len(want[19])
	for _, cut := range []int{last, last + 1, last + 47, last + 48, last + 100, len(whole) - 1} {
		if err := os.WriteFile(pack, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range want {
			missing, err := s.Missing(t.Context(), []digest.Digest{digest.Of(b)})
			if err != nil || (len(missing) == 0) != (i < 19) {
				t.Errorf("cut at %d: blob %d: %v %v", cut, i, missing, err)
			}
		}
		if d, err := s.Put(t.Context(), want[19]); err != nil { // by a new owner, over what was torn
			t.Error(err)
		} else if _, err := store.ReadBlob(t.Context(), s, d, 1<<20); err != nil {
			t.Error(err)
		}
		_ = s.Close()
		if got, _ := os.ReadFile(pack); !bytes.Equal(got, whole) {
			t.Errorf("cut at %d: the pack was not mended", cut)
		}
	}
}

// A store that was damaged behind our back says so, instead of serving what is there.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d, err := s.Put(t.Context(), storetest.Content(1, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	p := one(t, dir+"/v1/cas/*/"+d.Hex()+"-*")
	b, _ := os.ReadFile(p)
	b[5000]++
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	var corrupt *disk.CorruptError
	if _, err := store.ReadBlob(t.Context(), s, d, 1<<20); !errors.As(err, &corrupt) || !strings.Contains(err.Error(), d.Hex()) {
		t.Errorf("got %v", err)
	}
}
