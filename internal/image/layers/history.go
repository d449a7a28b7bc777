package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"hewn.example/hewn/internal/tree"
)

// maxEntries is how many versions a history keeps, for each platform: two years of monthly releases and their fixes.
const maxEntries = 32

// MaxHistory bounds an encoded history: entries of all platforms, each with 127 layers of 100 bytes.
const MaxHistory = 4 << 20

// historyVersion is the format's version. A history of another one is as good as none: it is a record of this machine's.
const historyVersion = 1

// History is which images one target gave, oldest first: what plans and prices are made from. It is kept as a record in
// the store, and what it has lost is no error to anybody.
type History struct {
	Entries []Entry
}

// Entry is one image of one platform.
type Entry struct {
	Label    string      `json:"label"`    // "2026.2.0"
	Platform string      `json:"platform"` // "linux/amd64"
	Root     tree.Tree   `json:"root"`     // of which it was made
	Manifest string      `json:"manifest"` // its digest, "sha256:…"
	Layers   []LayerSize `json:"layers"`   // the lowest first
}

type historyFile struct {
	Version int     `json:"version"`
	Entries []Entry `json:"entries"`
}

// ErrHistory is wrapped by the error of ParseHistory for bytes that are no history, or one of another version.
var ErrHistory = errors.New("not a history of images that this hewn reads")

// ParseHistory reads what Encode wrote.
func ParseHistory(b []byte) (*History, error) {
	if len(b) > MaxHistory {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrHistory, len(b), MaxHistory)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	var f historyFile
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHistory, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more after its end", ErrHistory)
	}
	if f.Version != historyVersion {
		return nil, fmt.Errorf("%w: format version %d", ErrHistory, f.Version)
	}
	h := &History{}
	for _, e := range f.Entries {
		if e.Root.IsZero() || e.Platform == "" {
			return nil, fmt.Errorf("%w: an entry without root or platform", ErrHistory)
		}
		for _, l := range e.Layers {
			if l.Size < 0 {
				return nil, fmt.Errorf("%w: a layer of %d bytes", ErrHistory, l.Size)
			}
		}
		h.Add(e)
	}
	return h, nil
}

// Encode is the bytes that ParseHistory reads back.
func (h *History) Encode() []byte {
	b, err := json.Marshal(historyFile{historyVersion, h.Entries})
	if err != nil { // there is nothing in it that JSON has not
		panic(err)
	}
	return append(b, '\n')
}

// Add puts e at the end. It replaces the last entry of its platform if that was made of the same root: the same image,
// perhaps with other layers. Of each platform the last 32 stay.
func (h *History) Add(e Entry) {
	count, first, last := 0, -1, -1
	for i, old := range h.Entries {
		if old.Platform != e.Platform {
			continue
		}
		if count++; first < 0 {
			first = i
		}
		last = i
	}
	drop := -1
	switch {
	case last >= 0 && h.Entries[last].Root == e.Root:
		drop = last
	case count >= maxEntries:
		drop = first
	}
	kept := make([]Entry, 0, len(h.Entries)+1)
	for i, old := range h.Entries {
		if i != drop {
			kept = append(kept, old)
		}
	}
	h.Entries = append(kept, e)
}

// Versions is the images of one platform as a plan reads them, oldest first.
func (h *History) Versions(platform string) []Version {
	var out []Version
	for _, e := range h.Entries {
		if e.Platform == platform {
			out = append(out, Version{e.Label, e.Root})
		}
	}
	return out
}

// Before gives the last image of e's platform that was made of another root than e: what an update to e starts from.
func (h *History) Before(e Entry) (Entry, bool) {
	for i := len(h.Entries) - 1; i >= 0; i-- {
		if o := h.Entries[i]; o.Platform == e.Platform && o.Root != e.Root {
			return o, true
		}
	}
	return Entry{}, false
}
