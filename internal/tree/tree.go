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
	seen := make(map[string]bool, len(d.Files)+len(d.Dirs)+len(d.Links))
	check := func(prev *string, first bool, name string) error {
		if err := CheckName(name); err != nil {
			return err
		}
		if !first && *prev >= name {
			return fmt.Errorf("file name %q is out of order or stands twice", name)
		}
		if seen[name] {
			return fmt.Errorf("file name %q stands twice", name)
		}
		seen[name] = true
		*prev = name
		return nil
	}
	var prev string
	for i, f := range d.Files {
		if err := check(&prev, i == 0, f.Name); err != nil {
			return err
		}
		if f.Digest.IsZero() {
			return fmt.Errorf("file %q has no digest", f.Name)
		}
	}
	for i, s := range d.Dirs {
		if err := check(&prev, i == 0, s.Name); err != nil {
			return err
		}
		if s.Tree.IsZero() {
			return fmt.Errorf("directory %q has no digest", s.Name)
		}
	}
	for i, l := range d.Links {
		if err := check(&prev, i == 0, l.Name); err != nil {
			return err
		}
		if l.Target == "" || strings.ContainsRune(l.Target, 0) || !utf8.ValidString(l.Target) {
			return fmt.Errorf("link %q has the target %q, which cannot be", l.Name, l.Target)
		}
	}
	return nil
}
