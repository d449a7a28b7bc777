package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// done is what --progress=json says of a step that has its result.
type done struct {
	Label, Kind, Key string
	Output           digest.Digest
	Log              digest.Digest
}

// stepsOf reads the events of a run.
func stepsOf(events []byte) ([]done, error) {
	var out []done
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e struct {
			Event string
			Data  json.RawMessage
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event != "StepDone" {
			continue
		}
		var d done
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return nil, err
		}
		if d.Kind != "plan" && d.Kind != "source" {
			out = append(out, d)
		}
	}
	return out, lines.Err()
}

// partStore makes a new store out of a full one, which has the results of those steps only for which keep says so: it is
// how a store looks in which packages have been unpacked but never been put together, or fetched but never been
// unpacked. Larger blobs are hard links.
func partStore(ctx context.Context, from, to string, steps []done, keep func(done) bool) error {
	src, err := disk.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := disk.Open(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	c := copier{src: src, dst: dst, seen: map[tree.Tree]bool{}}
	for _, s := range steps {
		if !keep(s) || s.Output.IsZero() {
			continue
		}
		k, err := digest.Parse(s.Key)
		if err != nil {
			return err
		}
		r, err := src.Result(ctx, store.KeyOf(k))
		if err != nil {
			return fmt.Errorf("%s: %w", s.Label, err)
		}
		if err := c.tree(ctx, r.Output); err != nil {
			return fmt.Errorf("%s: %w", s.Label, err)
		}
		r.Log = digest.Digest{}
		if err := dst.Record(ctx, store.KeyOf(k), r); err != nil {
			return err
		}
	}
	return nil
}

type copier struct {
	src, dst *disk.Store
	seen     map[tree.Tree]bool
}

func (c *copier) tree(ctx context.Context, t tree.Tree) error {
	if c.seen[t] {
		return nil
	}
	c.seen[t] = true
	d, err := c.src.Directory(ctx, t)
	if err != nil {
		return err
	}
	for _, f := range d.Files {
		if err := c.file(ctx, f); err != nil {
			return err
		}
	}
	for _, s := range d.Dirs {
		if err := c.tree(ctx, s.Tree); err != nil {
			return err
		}
	}
	_, err = c.dst.PutDirectory(ctx, d)
	return err
}

// file links what is a file in the store, and copies what is not.
func (c *copier) file(ctx context.Context, f tree.File) error {
	name := fmt.Sprintf("%s-%d", f.Digest.Hex(), f.Digest.Size())
	linked := false
	for _, name := range []string{name, name + ".x"} {
		at := filepath.Join("cas", name[:2], name)
		if err := os.MkdirAll(filepath.Join(c.dst.Dir(), "cas", name[:2]), 0o755); err != nil {
			return err
		}
		err := os.Link(filepath.Join(c.src.Dir(), at), filepath.Join(c.dst.Dir(), at))
		linked = linked || err == nil || os.IsExist(err)
	}
	if linked {
		return nil
	}
	if missing, err := c.dst.Missing(ctx, []digest.Digest{f.Digest}); err != nil || len(missing) == 0 {
		return err
	}
	r, err := c.src.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = c.dst.Ingest(ctx, r)
	return err
}

// snapshot is a store at one moment, to which it can go back: packs are only ever appended to, so that they are cut;
// what is new among views is put aside, and all that hewn remembers of earlier runs with it.
type snapshot struct {
	root  string // the directory of the format's version
	aside string
	sizes map[string]int64
	index map[string][]byte
	views map[string]bool
	keeps string // a copy of what hewn remembered; empty: it forgets
	n     int
}

func takeSnapshot(dir string) (*snapshot, error) {
	s := &snapshot{root: filepath.Join(dir, "v1"), aside: dir + "-aside", sizes: map[string]int64{}, index: map[string][]byte{}, views: map[string]bool{}}
	packs, err := os.ReadDir(filepath.Join(s.root, "packs"))
	if err != nil {
		return nil, err
	}
	for _, e := range packs {
		p := filepath.Join(s.root, "packs", e.Name())
		if strings.HasSuffix(e.Name(), ".idx") {
			if s.index[e.Name()], err = os.ReadFile(p); err != nil {
				return nil, err
			}
			continue
		}
		st, err := e.Info()
		if err != nil {
			return nil, err
		}
		s.sizes[e.Name()] = st.Size()
	}
	views, err := os.ReadDir(filepath.Join(s.root, "views"))
	for _, e := range views {
		s.views[e.Name()] = true
	}
	return s, err
}

// remember has hewn know of the runs before the snapshot when it goes back to that.
func (s *snapshot) remember() error {
	s.keeps = filepath.Join(s.aside, "kv")
	return copyTree(filepath.Join(s.root, "kv"), s.keeps, nil)
}

func (s *snapshot) restore() error {
	packs, err := os.ReadDir(filepath.Join(s.root, "packs"))
	if err != nil {
		return err
	}
	for _, e := range packs {
		p := filepath.Join(s.root, "packs", e.Name())
		size, known := s.sizes[e.Name()]
		if !known {
			err = os.Remove(p)
		} else {
			err = os.Truncate(p, size)
		}
		if err != nil {
			return err
		}
	}
	for name, b := range s.index {
		if err := os.WriteFile(filepath.Join(s.root, "packs", name), b, 0o644); err != nil {
			return err
		}
	}
	s.n++
	aside := fmt.Sprintf("%s/%d", s.aside, s.n)
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	views, err := os.ReadDir(filepath.Join(s.root, "views"))
	if err != nil {
		return err
	}
	for _, e := range views {
		if !s.views[e.Name()] {
			if err := os.Rename(filepath.Join(s.root, "views", e.Name()), filepath.Join(aside, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Rename(filepath.Join(s.root, "kv"), filepath.Join(aside, "kv")); err != nil {
		return err
	}
	if s.keeps != "" {
		return copyTree(s.keeps, filepath.Join(s.root, "kv"), nil)
	}
	return os.Mkdir(filepath.Join(s.root, "kv"), 0o755)
}
