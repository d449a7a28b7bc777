package oci

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// maxAccounts bounds /etc/passwd and /etc/group.
const maxAccounts = 4 << 20

// accounts is what an image's own /etc/passwd and /etc/group say.
type accounts struct {
	users, groups       map[string]id
	noPasswd, noGroupDB bool // the file is not there
}

// id is a number and, of a user, the number of the account's own group.
type id struct{ n, group uint32 }

// readAccounts reads both files, following links inside the image. Lines that are malformed are left out, as the C
// library does it; of two lines with one name the first counts.
func readAccounts(ctx context.Context, st Store, root tree.Tree) (a accounts, err error) {
	passwd, err := readEtc(ctx, st, root, "/etc/passwd")
	if err != nil {
		return a, err
	}
	group, err := readEtc(ctx, st, root, "/etc/group")
	if err != nil {
		return a, err
	}
	a = accounts{users: map[string]id{}, groups: map[string]id{}, noPasswd: passwd == nil, noGroupDB: group == nil}
	for fields := range colonLines(passwd) {
		if len(fields) < 4 {
			continue
		}
		uid, ok := spec.ParseID(fields[2])
		gid, ok2 := spec.ParseID(fields[3])
		if _, twice := a.users[fields[0]]; ok && ok2 && !twice {
			a.users[fields[0]] = id{uid, gid}
		}
	}
	for fields := range colonLines(group) {
		if len(fields) < 3 {
			continue
		}
		gid, ok := spec.ParseID(fields[2])
		if _, twice := a.groups[fields[0]]; ok && !twice {
			a.groups[fields[0]] = id{gid, gid}
		}
	}
	return a, nil
}

// colonLines gives the fields of each line with a name.
func colonLines(text []byte) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(string(text)) {
			fields := strings.Split(strings.TrimRight(line, "\n"), ":")
			if fields[0] != "" && !strings.HasPrefix(fields[0], "#") && !yield(fields) {
				return
			}
		}
	}
}

// readEtc gives the content of a file of the image, nil where there is none.
func readEtc(ctx context.Context, st Store, root tree.Tree, p string) ([]byte, error) {
	_, e, err := tree.Resolve(ctx, st, root, p)
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindFile {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := store.ReadBlob(ctx, st, e.Digest, maxAccounts)
	var large *store.TooLargeError
	if errors.As(err, &large) {
		return nil, diag.Inputf("image-accounts", "cannot read `%s` of the image", p).Because(err)
	}
	if err == nil && b == nil {
		b = []byte{}
	}
	return b, err
}

// owner gives the numbers of `user`, `user:group`, `uid` or `uid:gid`, which the field called key says.
func (a accounts) owner(s, key string) (uid, gid uint32, err error) {
	user, group, ok := spec.SplitOwner(s)
	if !ok {
		return 0, 0, diag.Inputf("bad-image", "%q is no owner", s).At(diag.Position{Key: key})
	}
	u, err := find(user, a.users, unknown{"user", "/etc/passwd", key, a.noPasswd})
	if err != nil || group == "" {
		return u.n, u.group, err
	}
	g, err := find(group, a.groups, unknown{"group", "/etc/group", key, a.noGroupDB})
	return u.n, g.n, err
}

// unknown is how a name that nobody has is told.
type unknown struct {
	kind, file, key string
	absent          bool
}

func find(name string, in map[string]id, u unknown) (id, error) {
	if n, ok := spec.ParseID(name); ok {
		return id{n, n}, nil
	}
	if n, ok := in[name]; ok {
		return n, nil
	}
	p := diag.Inputf("image-account", "the image has no %s `%s`", u.kind, name).At(diag.Position{Key: u.key})
	if u.absent {
		return id{}, p.Because(fmt.Errorf("it has no `%s` at all", u.file)).Hint("write a number, or add `%s` to the image", u.file)
	}
	return id{}, p.With(fmt.Sprintf("its %s has: %s", u.file, someOf(slices.Sorted(maps.Keys(in)), name))).
		Hint("write one of these or a number, or add the %s to the image's %s", u.kind, u.file)
}

// mostNames is how many names a message lists.
const mostNames = 12

// someOf lists names, those that begin most like wanted if there are too many.
func someOf(names []string, wanted string) string {
	if len(names) == 0 {
		return "nothing"
	}
	more := ""
	if len(names) > mostNames {
		slices.SortStableFunc(names, func(a, b string) int { return common(b, wanted) - common(a, wanted) })
		more = fmt.Sprintf(" and %d more", len(names)-mostNames)
		names = names[:mostNames]
		slices.Sort(names)
	}
	return strings.Join(names, ", ") + more
}

// common is how many bytes two names begin with alike.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
