// Package tree is the model of files: directories by digest, as the Remote Execution API's Directory message has them,
// and the pure algebra over them (build, merge, select, diff, walk, text form).
//
// A tree carries names, bytes, the executable bit and symbolic links: no times, owners or order. Names are UTF-8.
// Everything here is a pure function of what a Dirs gives; only checkout.go and collect.go touch a file system.
package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"hewn.example/hewn/internal/digest"
)

// Tree is the identity of a directory's whole content: the digest of its Directory message. It is comparable.
type Tree struct{ d digest.Digest }

// Empty is the tree of a directory without entries.
var Empty = Tree{digest.Empty}

// Of says that d is the digest of a Directory message.
func Of(d digest.Digest) Tree { return Tree{d} }

// Digest is the digest of the tree's Directory message.
func (t Tree) Digest() digest.Digest { return t.d }

// IsZero says that t was never set; it is not the empty tree.
func (t Tree) IsZero() bool { return t.d.IsZero() }

// String is the text form of the digest.
func (t Tree) String() string { return t.d.String() }

// MarshalText gives the form of String.
func (t Tree) MarshalText() ([]byte, error) { return t.d.MarshalText() }

// UnmarshalText is the reverse of MarshalText.
func (t *Tree) UnmarshalText(b []byte) error { return t.d.UnmarshalText(b) }

// Directory is one directory: each list is sorted by name, and no name stands twice in the three together.
type Directory struct {
	Files []File
	Dirs  []Dir
	Links []Link
}

// File is a regular file in a Directory.
type File struct {
	Name       string
	Digest     digest.Digest
	Executable bool
}

// Dir is a directory in a Directory.
type Dir struct {
	Name string
	Tree Tree
}

// Link is a symbolic link in a Directory.
type Link struct {
	Name   string
	Target string
}

// Dirs keeps Directory messages. Implementations are safe for concurrent use.
type Dirs interface {
	// Directory gives the directory that t names. What it returns is shared and must not be changed.
	Directory(ctx context.Context, t Tree) (*Directory, error)
	// PutDirectory keeps d (which must be sorted, see Directory.Check) and names it.
	PutDirectory(ctx context.Context, d *Directory) (Tree, error)
}

// ErrNotExist is wrapped by errors about a path that a tree does not have.
var ErrNotExist = errors.New("no such file or directory in the tree")

// CheckName says why name cannot be the name of an entry, or nil.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is not a file name", name)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("file name %q contains a slash or a zero byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("file name %q is not UTF-8", name)
	}
	return nil
}

// Check says why d is not a well-formed directory: a bad name, a name twice, a wrong order.
func (d *Directory) Check() error {
	for i, f := range d.Files {
		if err := CheckName(f.Name); err != nil {
			return err
		}
		if i > 0 && d.Files[i-1].Name >= f.Name {
			return orderError(f.Name)
		}
		if f.Digest.IsZero() {
			return fmt.Errorf("file %q has no digest", f.Name)
		}
	}
	for i, s := range d.Dirs {
		if err := CheckName(s.Name); err != nil {
			return err
		}
		if i > 0 && d.Dirs[i-1].Name >= s.Name {
			return orderError(s.Name)
		}
		if s.Tree.IsZero() {
			return fmt.Errorf("directory %q has no digest", s.Name)
		}
	}
	for i, l := range d.Links {
		if err := CheckName(l.Name); err != nil {
			return err
		}
		if i > 0 && d.Links[i-1].Name >= l.Name {
			return orderError(l.Name)
		}
		if err := checkTarget(l.Name, l.Target); err != nil {
			return err
		}
	}
	return d.checkTwice()
}

// checkTwice looks for a name in two of the lists, which are each in order.
func (d *Directory) checkTwice() error {
	f, s, l := d.Files, d.Dirs, d.Links
	for n := 0; n < 2; {
		n = 0
		least, twice := "", false
		for _, name := range heads(f, s, l) {
			if name == "" {
				n++
				continue
			}
			twice = twice || name == least
			if least == "" || name < least {
				least, twice = name, false
			}
		}
		if twice {
			return orderError(least)
		}
		if len(f) > 0 && f[0].Name == least {
			f = f[1:]
		} else if len(s) > 0 && s[0].Name == least {
			s = s[1:]
		} else if len(l) > 0 {
			l = l[1:]
		}
	}
	return nil
}

// heads gives the first name of each list, or "" for one that has come to its end.
func heads(f []File, s []Dir, l []Link) (h [3]string) {
	if len(f) > 0 {
		h[0] = f[0].Name
	}
	if len(s) > 0 {
		h[1] = s[0].Name
	}
	if len(l) > 0 {
		h[2] = l[0].Name
	}
	return h
}

func orderError(name string) error {
	return fmt.Errorf("file name %q is out of order or stands twice", name)
}

func checkTarget(name, target string) error {
	if target == "" || strings.ContainsRune(target, 0) || !utf8.ValidString(target) {
		return fmt.Errorf("link %q has the target %q, which cannot be", name, target)
	}
	return nil
}
