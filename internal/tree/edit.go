package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Sub gives the directory at a path of t. Links are not followed.
func Sub(ctx context.Context, dirs Dirs, t Tree, p string) (Tree, error) {
	e, err := Lookup(ctx, dirs, t, p)
	if err != nil {
		return Tree{}, err
	}
	if e.Kind != KindDir {
		return Tree{}, fmt.Errorf("%s is a %s, not a directory: %w", p, e.Kind, ErrNotExist)
	}
	return e.Tree, nil
}

// Select keeps the given files, links and whole directories of t at their places and nothing else. Every path must
// exist, but for those that end in "?".
func Select(ctx context.Context, dirs Dirs, t Tree, paths ...string) (Tree, error) {
	b := NewBuilder()
	for _, p := range paths {
		p, optional := strings.CutSuffix(p, "?")
		e, err := Lookup(ctx, dirs, t, p)
		if optional && errors.Is(err, ErrNotExist) {
			continue
		}
		if err == nil {
			switch e.Kind {
			case KindFile:
				err = b.File(p, e.Digest, e.Executable)
			case KindLink:
				err = b.Link(p, e.Target)
			default:
				err = b.Tree(p, e.Tree)
			}
		}
		if err != nil {
			return Tree{}, err
		}
	}
	return b.Build(ctx, dirs)
}

// Remove leaves out what the patterns match, with all that is below it. A pattern is a path from the root in which `*`,
// `?` and `[...]` stand for characters of one name and `**` for any number of directories (at its end: for everything
// below). What does not exist is no error. Directories that become empty stay.
func Remove(ctx context.Context, dirs Dirs, t Tree, patterns ...string) (Tree, error) {
	var states []pattern
	for _, p := range patterns {
		s, err := parsePattern(p)
		if err != nil {
			return Tree{}, err
		}
		states = append(states, s)
	}
	return remove(ctx, dirs, t, states)
}

func remove(ctx context.Context, dirs Dirs, t Tree, states []pattern) (Tree, error) {
	if len(states) == 0 {
		return t, nil
	}
	if err := ctx.Err(); err != nil {
		return Tree{}, context.Cause(ctx)
	}
	d, err := dirs.Directory(ctx, t)
	if err != nil {
		return Tree{}, err
	}
	out, changed := &Directory{}, false
	for _, e := range d.Entries() {
		matched, below := step(states, e.Name)
		if matched {
			changed = true
			continue
		}
		if e.Kind == KindDir {
			sub, err := remove(ctx, dirs, e.Tree, below)
			if err != nil {
				return Tree{}, err
			}
			changed = changed || sub != e.Tree
			e.Tree = sub
		}
		out.add(e)
	}
	if !changed {
		return t, nil
	}
	return dirs.PutDirectory(ctx, out)
}

// Glob gives the paths of all entries of t that a pattern (see Remove) matches, in the order of Walk. It reads only
// directories that can hold a match.
func Glob(ctx context.Context, dirs Dirs, t Tree, glob string) ([]string, error) {
	p, err := parsePattern(glob)
	if err != nil {
		return nil, err
	}
	return globDir(ctx, dirs, t, "", []pattern{p}, nil)
}

func globDir(ctx context.Context, dirs Dirs, t Tree, prefix string, states []pattern, out []string) ([]string, error) {
	if len(states) == 0 {
		return out, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d, err := dirs.Directory(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, e := range d.Entries() {
		matched, below := step(states, e.Name)
		if matched {
			out = append(out, prefix+e.Name)
		}
		if e.Kind == KindDir {
			if out, err = globDir(ctx, dirs, e.Tree, prefix+e.Name+"/", below, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// pattern is the names of a pattern that are still to be matched.
type pattern []string

func parsePattern(s string) (pattern, error) {
	var p pattern
	for name := range strings.SplitSeq(s, "/") {
		if name == "" || name == "." {
			continue
		}
		if name == "**" && len(p) > 0 && p[len(p)-1] == "**" {
			continue
		}
		if name == ".." || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("pattern %q: %q is not a file name", s, name)
		}
		if _, err := path.Match(name, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %q: %w", s, name, err)
		}
		p = append(p, name)
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("pattern %q matches the root itself", s)
	}
	return p, nil
}

// matches says whether one of the patterns matches a path.
func matches(states []pattern, p string) bool {
	matched := false
	for name := range strings.SplitSeq(p, "/") {
		matched, states = step(states, name)
	}
	return matched
}

// step matches one name: whether an entry of that name is matched, and what remains to be matched below it.
func step(states []pattern, name string) (matched bool, below []pattern) {
	for _, p := range states {
		if p[0] == "**" {
			below = append(below, p)
			if len(p) == 1 {
				matched = true
				continue
			}
			p = p[1:]
		}
		if ok, _ := path.Match(p[0], name); !ok { // parsePattern has seen that the pattern is well-formed
			continue
		}
		if len(p) == 1 {
			matched = true
		} else {
			below = append(below, p[1:])
			// `a/**/b` matches `a/b`: step takes care of it, since the rest then begins with `**`.
		}
	}
	return matched, below
}
