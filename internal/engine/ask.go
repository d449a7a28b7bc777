package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// MaxRead is the size of the largest file that a plan may read. Plans read locks and manifests; the largest lock seen
// in the wild has 2 MB.
const MaxRead = 64 << 20

// EntryKind says what an Entry is.
type EntryKind string

// The kinds of entry that Ask.List gives.
const (
	File EntryKind = "file"
	Dir  EntryKind = "dir"
	Link EntryKind = "link"
)

// Entry is one entry of a directory that a plan listed. It tells nothing of the content, so that an edit of a file does
// not run every plan that has looked at the directory.
type Entry struct {
	Name       string
	Kind       EntryKind
	Executable bool   // of a file
	Target     string // of a link
}

// Ask is how a plan looks at the world. Every question is remembered together with its answer; on a later run the plan
// is run again only if some answer differs. Only Static steps can be looked into (Observe says what there is for others).
// Plans should ask about single files, never about a whole source. An Ask may be used from several goroutines and not
// after its plan has returned.
type Ask struct {
	world world

	mu       sync.Mutex
	asked    []asked
	notes    []string
	untraced error // a question failed for a reason that may be gone next time: the trace must not be kept
}

// world is what answers questions: a run of the engine.
type world interface {
	// static evaluates a step that depends on no action.
	static(ctx context.Context, n *node) (tree.Tree, error)
	// observed evaluates any step. It is called in an update only.
	observed(ctx context.Context, n *node) (tree.Tree, error)
	config() *Config
}

// asked is a question and the digest of what was answered.
type asked struct {
	question
	answer digest.Digest
}

// askKind says which method of Ask a question belongs to. The values are written into traces.
type askKind byte

const (
	askRead      askKind = 'r'
	askExists    askKind = 'e'
	askList      askKind = 'l'
	askGlob      askKind = 'g'
	askTree      askKind = 't'
	askArtifacts askKind = 'a'
	askInfo      askKind = 'i'
	askLines     askKind = 'o'
)

// question is one question as a value that can be written into a trace.
type question struct {
	kind askKind
	on   *node         // what is asked about, a source for askInfo, what can tell for askLines; nil for askArtifacts
	arg  string        // path or pattern
	pins pins.Question // of askArtifacts and askLines
}

// answer is what a question gave. text stands for all of it: equal texts are equal answers.
type answer struct {
	text      string
	file      digest.Digest
	exists    bool
	entries   []Entry
	paths     []string
	tree      tree.Tree
	artifacts []source.Artifact
	lines     []string
	info      SourceInfo
	err       error // an answer as well: "there is no such file"
}

// Platform is what the plan plans for. It is part of the trace's key, and so no question.
func (a *Ask) Platform() platform.Platform { return a.world.config().Platform }

// Read gives the content of a file of at most MaxRead bytes. Links are followed within the tree. Where there is no such
// file, the error wraps tree.ErrNotExist.
func (a *Ask) Read(ctx context.Context, s Static, path string) ([]byte, error) {
	v, err := a.ask(ctx, question{kind: askRead, on: s.n, arg: path})
	if err != nil {
		return nil, err
	}
	b, err := store.ReadBlob(ctx, a.world.config().Store, v.file, MaxRead)
	var tooLarge *store.TooLargeError
	switch {
	case errors.As(err, &tooLarge): // depends on the answer alone, so the trace stays good
		return nil, fmt.Errorf("%s: %s: %w", s.Label(), path, err)
	case err != nil:
		return nil, a.spoil(fmt.Errorf("%s: %s: %w", s.Label(), path, err))
	}
	return b, nil
}

// Exists says whether there is a file or directory at path. Links are followed: a link to nowhere does not exist.
func (a *Ask) Exists(ctx context.Context, s Static, path string) (bool, error) {
	v, err := a.ask(ctx, question{kind: askExists, on: s.n, arg: path})
	return v.exists, err
}

// List gives the entries of a directory, sorted by name. Where there is no such directory, the error wraps
// tree.ErrNotExist.
func (a *Ask) List(ctx context.Context, s Static, dir string) ([]Entry, error) {
	v, err := a.ask(ctx, question{kind: askList, on: s.n, arg: dir})
	return v.entries, err
}

// Glob gives the paths of everything (files, directories, links) that pattern matches, relative to the root of s,
// sorted: `*`, `?` and `[...]` stand for characters of one name, `**` for any number of directories. No match is an
// empty list. Links are not followed.
func (a *Ask) Glob(ctx context.Context, s Static, pattern string) ([]string, error) {
	v, err := a.ask(ctx, question{kind: askGlob, on: s.n, arg: pattern})
	return v.paths, err
}

// Tree gives the digest of all of s: every change in it will run the plan again.
func (a *Ask) Tree(ctx context.Context, s Static) (tree.Tree, error) {
	v, err := a.ask(ctx, question{kind: askTree, on: s.n})
	return v.tree, err
}

// Artifacts gives what the workspace has pinned for q. During an update, q is resolved.
func (a *Ask) Artifacts(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	v, err := a.ask(ctx, question{kind: askArtifacts, pins: q})
	return v.artifacts, err
}

// SourceInfo tells where the content of a source of the recipe comes from. It is zero for a directory.
func (a *Ask) SourceInfo(ctx context.Context, name string) (SourceInfo, error) {
	v, err := a.ask(ctx, question{kind: askInfo, on: Source(name).n})
	return v.info, err
}

// Note tells the person who builds something that is no error: an install script that is skipped. It belongs to the
// plan's result, and is told again where that is taken from the plan's trace.
func (a *Ask) Note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// ask answers q and remembers it.
func (a *Ask) ask(ctx context.Context, q question) (answer, error) {
	v, err := reply(ctx, a.world, q)
	if err != nil {
		return answer{}, a.spoil(err)
	}
	a.mu.Lock()
	a.asked = append(a.asked, asked{q, digest.Of([]byte(v.text))})
	a.mu.Unlock()
	return v, v.err
}

// spoil notes that the plan has seen an error which is no answer.
func (a *Ask) spoil(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.untraced == nil {
		a.untraced = err
	}
	return err
}

// reply answers q. Its error is one that is no answer: a failed download, a missing pin, a store that cannot be read.
func reply(ctx context.Context, w world, q question) (answer, error) {
	if q.kind == askArtifacts {
		list, err := w.config().Pins.Artifacts(ctx, q.pins)
		if err != nil {
			return answer{}, err
		}
		raw, err := json.Marshal(list)
		return answer{artifacts: list, text: string(raw)}, err
	}
	if q.kind == askLines && q.on != nil {
		return replyLines(ctx, w, q)
	}
	if q.on == nil || !q.on.static {
		return answer{}, errors.New("engine: a plan asked about a step that is not static")
	}
	if q.kind == askInfo && q.on.Op == opSource { // of the source itself: its content is not needed
		info, err := w.config().Sources.Info(ctx, q.on.Name)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %w", q.on.Label, err)
		}
		return answer{info: info, text: fmt.Sprintf("%q %q %d %q", info.Rev, info.Revision, info.Time, info.URL)}, nil
	}
	t, err := w.static(ctx, q.on)
	if err != nil {
		return answer{}, err
	}
	dirs := w.config().Store
	switch q.kind {
	case askTree:
		return answer{tree: t, text: t.String()}, nil
	case askGlob:
		paths, err := tree.Glob(ctx, dirs, t, q.arg)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %w", q.on.Label, err)
		}
		return answer{paths: paths, text: strings.Join(paths, "\n")}, nil
	case askRead, askExists, askList:
		return replyPath(ctx, dirs, t, q)
	}
	return answer{}, fmt.Errorf("engine: no question of kind %q", q.kind)
}

// replyPath answers the questions about one path.
func replyPath(ctx context.Context, dirs tree.Dirs, t tree.Tree, q question) (answer, error) {
	_, e, err := tree.Resolve(ctx, dirs, t, q.arg)
	found := err == nil
	if err != nil && !errors.Is(err, tree.ErrNotExist) {
		return answer{}, fmt.Errorf("%s: %w", q.on.Label, err)
	}
	refuse := func(why error) answer {
		return answer{text: "error " + why.Error(), err: fmt.Errorf("%s: %s: %w", q.on.Label, q.arg, why)}
	}
	switch {
	case q.kind == askExists:
		return answer{exists: found, text: fmt.Sprint(found)}, nil
	case !found:
		return refuse(tree.ErrNotExist), nil
	case q.kind == askRead && e.Kind != tree.KindFile:
		return refuse(fmt.Errorf("is a %s, not a file", e.Kind)), nil
	case q.kind == askRead:
		return answer{file: e.Digest, text: e.Digest.String()}, nil
	case e.Kind != tree.KindDir:
		return refuse(fmt.Errorf("is a %s, not a directory", e.Kind)), nil
	}
	d, err := dirs.Directory(ctx, e.Tree)
	if err != nil {
		return answer{}, err
	}
	return list(d), nil
}

// list is the answer to a listing of d.
func list(d *tree.Directory) answer {
	var v answer
	var text strings.Builder
	for _, e := range d.Entries() {
		entry := Entry{Name: e.Name, Executable: e.Executable, Target: e.Target}
		switch e.Kind {
		case tree.KindFile:
			entry.Kind = File
		case tree.KindDir:
			entry.Kind = Dir
		case tree.KindLink:
			entry.Kind = Link
		}
		v.entries = append(v.entries, entry)
		fmt.Fprintf(&text, "%s %v %q %q\n", entry.Kind, entry.Executable, entry.Name, entry.Target)
	}
	v.text = text.String()
	return v
}
