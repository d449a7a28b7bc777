package tree

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hewn.example/hewn/internal/digest"
)

// Kind says what an entry of a directory is.
type Kind uint8

// The kinds of entry.
const (
	KindFile Kind = iota + 1
	KindDir
	KindLink
)

// String is "file", "directory" or "link".
func (k Kind) String() string {
	switch k {
	case KindFile:
		return "file"
	case KindDir:
		return "directory"
	case KindLink:
		return "link"
	}
	return "nothing"
}

// Entry is one entry of a directory, of whatever kind, so that code which treats all kinds alike needs one loop. It is
// comparable: two equal entries are the same content under the same name.
type Entry struct {
	Name       string
	Kind       Kind
	Digest     digest.Digest // of a file's content
	Executable bool          // of a file
	Target     string        // of a link
	Tree       Tree          // of a directory
}

// Same says that e and o are the same content, whatever their names.
func (e Entry) Same(o Entry) bool {
	e.Name = o.Name
	return e == o
}

// String says in a few words what the entry is, for messages.
func (e Entry) String() string {
	switch e.Kind {
	case KindFile:
		s := fmt.Sprintf("file of %d bytes %s", e.Digest.Size(), e.Digest.Short())
		if e.Executable {
			s = "executable " + s
		}
		return s
	case KindLink:
		return "link to " + e.Target
	}
	return e.Kind.String()
}

// Entries is all entries of d in the order of their names.
func (d *Directory) Entries() []Entry {
	out := make([]Entry, 0, len(d.Files)+len(d.Dirs)+len(d.Links))
	f, s, l := d.Files, d.Dirs, d.Links
	for len(f)+len(s)+len(l) > 0 {
		switch {
		case len(f) > 0 && (len(s) == 0 || f[0].Name < s[0].Name) && (len(l) == 0 || f[0].Name < l[0].Name):
			out = append(out, Entry{Name: f[0].Name, Kind: KindFile, Digest: f[0].Digest, Executable: f[0].Executable})
			f = f[1:]
		case len(s) > 0 && (len(l) == 0 || s[0].Name < l[0].Name):
			out = append(out, Entry{Name: s[0].Name, Kind: KindDir, Tree: s[0].Tree})
			s = s[1:]
		default:
			out = append(out, Entry{Name: l[0].Name, Kind: KindLink, Target: l[0].Target})
			l = l[1:]
		}
	}
	return out
}

// Entry gives the entry called name.
func (d *Directory) Entry(name string) (Entry, bool) {
	if i, ok := find(d.Dirs, name, func(s Dir) string { return s.Name }); ok {
		return Entry{Name: name, Kind: KindDir, Tree: d.Dirs[i].Tree}, true
	}
	if i, ok := find(d.Files, name, func(f File) string { return f.Name }); ok {
		return Entry{Name: name, Kind: KindFile, Digest: d.Files[i].Digest, Executable: d.Files[i].Executable}, true
	}
	if i, ok := find(d.Links, name, func(l Link) string { return l.Name }); ok {
		return Entry{Name: name, Kind: KindLink, Target: d.Links[i].Target}, true
	}
	return Entry{}, false
}

func find[T any](list []T, name string, nameOf func(T) string) (int, bool) {
	lo, hi := 0, len(list)
	for lo < hi {
		mid := (lo + hi) / 2
		if nameOf(list[mid]) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(list) && nameOf(list[lo]) == name
}

// add appends e, which must come after all entries of its kind.
func (d *Directory) add(e Entry) {
	switch e.Kind {
	case KindFile:
		d.Files = append(d.Files, File{Name: e.Name, Digest: e.Digest, Executable: e.Executable})
	case KindDir:
		d.Dirs = append(d.Dirs, Dir{Name: e.Name, Tree: e.Tree})
	case KindLink:
		d.Links = append(d.Links, Link{Name: e.Name, Target: e.Target})
	}
}

// SplitPath gives the names that a path (relative or absolute, slash-separated) consists of; none for the root. A path
// with `..` in it is refused, since what it means depends on links.
func SplitPath(p string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." {
			continue
		}
		if err := CheckName(name); err != nil {
			return nil, fmt.Errorf("path %q: %w", p, err)
		}
		names = append(names, name)
	}
	return names, nil
}

func notExist(p string) error { return fmt.Errorf("%s: %w", p, ErrNotExist) }

// Lookup gives the entry at a path of t. It follows no links: a path that leads through one does not exist. The root's
// entry has no name.
func Lookup(ctx context.Context, dirs Dirs, t Tree, p string) (Entry, error) {
	names, err := SplitPath(p)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: KindDir, Tree: t}
	for _, name := range names {
		if e.Kind != KindDir {
			return Entry{}, notExist(p)
		}
		d, err := dirs.Directory(ctx, e.Tree)
		if err != nil {
			return Entry{}, err
		}
		var ok bool
		if e, ok = d.Entry(name); !ok {
			return Entry{}, notExist(p)
		}
	}
	return e, nil
}

// maxLinks is how many links Resolve follows before it takes them for a loop: what Linux does.
const maxLinks = 40

// Resolve gives the entry that a path of t leads to when t serves as the root directory: links are followed, absolute
// ones from the root of t, and `..` stays in the root. resolved is the path without links, relative to the root.
func Resolve(ctx context.Context, dirs Dirs, t Tree, p string) (resolved string, e Entry, err error) {
	todo := strings.Split(p, "/")
	at := []Entry{{Kind: KindDir, Tree: t}} // the directories from the root to where we are, and what is there
	links := 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		cur := at[len(at)-1]
		if name == "" || name == "." {
			continue
		}
		if cur.Kind != KindDir {
			return "", Entry{}, notExist(p)
		}
		if name == ".." {
			at = at[:max(1, len(at)-1)]
			continue
		}
		d, err := dirs.Directory(ctx, cur.Tree)
		if err != nil {
			return "", Entry{}, err
		}
		next, ok := d.Entry(name)
		if !ok {
			return "", Entry{}, notExist(p)
		}
		if next.Kind != KindLink {
			at = append(at, next)
			continue
		}
		if links++; links > maxLinks {
			return "", Entry{}, fmt.Errorf("%s: more than %d links: %w", p, maxLinks, ErrNotExist)
		}
		if strings.HasPrefix(next.Target, "/") {
			at = at[:1]
		}
		todo = append(strings.Split(next.Target, "/"), todo...)
	}
	names := make([]string, 0, len(at))
	for _, e := range at[1:] {
		names = append(names, e.Name)
	}
	return path.Join(names...), at[len(at)-1], nil
}

// SkipDir, returned by the function of Walk, leaves out what is in the directory just visited; for anything but a
// directory, the rest of the directory that it is in.
var SkipDir = fs.SkipDir

// Walk calls f for every entry of t but the root: names in order, a directory before what is in it. Paths are relative
// to the root of t.
func Walk(ctx context.Context, dirs Dirs, t Tree, f func(path string, e Entry) error) error {
	return walk(ctx, dirs, t, "", f)
}

func walk(ctx context.Context, dirs Dirs, t Tree, prefix string, f func(path string, e Entry) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	d, err := dirs.Directory(ctx, t)
	if err != nil {
		return err
	}
	for _, e := range d.Entries() {
		p := prefix + e.Name
		err := f(p, e)
		if err == SkipDir {
			if e.Kind == KindDir {
				continue
			}
			return nil
		}
		if err == nil && e.Kind == KindDir {
			err = walk(ctx, dirs, e.Tree, p+"/", f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
