package tree

import (
	"context"
)

// Diff calls f for every path at which a and b differ: old is nil for what only b has, new for what only a has. Of a
// directory that both have only the differences within are given; one that only one side has is given before all that
// is in it. Paths come in the order of Walk. Equal subtrees are not read.
func Diff(ctx context.Context, dirs Dirs, a, b Tree, f func(path string, old, new *Entry) error) error {
	return diff(ctx, dirs, a, b, "", f)
}

// diff takes the zero Tree for "is no directory on this side".
func diff(ctx context.Context, dirs Dirs, a, b Tree, prefix string, f func(path string, old, new *Entry) error) error {
	if a == b {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	ea, err := entriesOf(ctx, dirs, a)
	if err != nil {
		return err
	}
	eb, err := entriesOf(ctx, dirs, b)
	if err != nil {
		return err
	}
	for len(ea)+len(eb) > 0 {
		var old, now *Entry
		if len(ea) > 0 && (len(eb) == 0 || ea[0].Name <= eb[0].Name) {
			old = &ea[0]
		}
		if len(eb) > 0 && (len(ea) == 0 || eb[0].Name <= ea[0].Name) {
			now = &eb[0]
		}
		if old != nil {
			ea = ea[1:]
		}
		if now != nil {
			eb = eb[1:]
		}
		if err := diffEntry(ctx, dirs, old, now, prefix, f); err != nil {
			return err
		}
	}
	return nil
}

func diffEntry(ctx context.Context, dirs Dirs, old, now *Entry, prefix string, f func(path string, old, new *Entry) error) error {
	var sa, sb Tree
	name := ""
	if old != nil {
		name, sa = old.Name, old.Tree
	}
	if now != nil {
		name, sb = now.Name, now.Tree
	}
	if old != nil && now != nil && *old == *now {
		return nil
	}
	if sa.IsZero() || sb.IsZero() {
		if err := f(prefix+name, old, now); err != nil {
			return err
		}
	}
	return diff(ctx, dirs, sa, sb, prefix+name+"/", f)
}

func entriesOf(ctx context.Context, dirs Dirs, t Tree) ([]Entry, error) {
	if t.IsZero() {
		return nil, nil
	}
	d, err := dirs.Directory(ctx, t)
	if err != nil {
		return nil, err
	}
	return d.Entries(), nil
}
