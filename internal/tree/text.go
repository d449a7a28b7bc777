package tree

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Text is all of t as text, for goldens and for people: one line an entry, in the order of Walk.
//
//	dir  usr/bin
//	0755 usr/bin/ak 1204 9f86d081884c
//	0644 usr/share/doc/copyright 311 60303ae22b99
//	link usr/lib64 -> lib
//
// A file has its mode, path, size and the first 12 digits of its hash. Names with characters that would break a line
// are quoted as in Go.
func Text(ctx context.Context, dirs Dirs, t Tree) (string, error) {
	var b strings.Builder
	err := Walk(ctx, dirs, t, func(p string, e Entry) error {
		p = quoteName(p)
		switch e.Kind {
		case KindDir:
			fmt.Fprintf(&b, "dir  %s\n", p)
		case KindLink:
			fmt.Fprintf(&b, "link %s -> %s\n", p, quoteName(e.Target))
		default:
			mode := "0644"
			if e.Executable {
				mode = "0755"
			}
			fmt.Fprintf(&b, "%s %s %d %s\n", mode, p, e.Digest.Size(), e.Digest.Short())
		}
		return nil
	})
	return b.String(), err
}

func quoteName(s string) string {
	for _, r := range s {
		if r <= ' ' || r == '"' || !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
