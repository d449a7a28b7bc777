package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/tree"
)

// Attrs is what a layer says of its entries beside their content. Paths are relative to the root of the tree; a leading
// slash is allowed. The zero value is all of root's, with the modes of DefaultMode.
type Attrs struct {
	Owners []Owner
	Modes  []Mode
}

// Owner is who owns a path and everything below; of several, the one with the deepest path counts. The path "" is
// everything.
type Owner struct {
	Path     string
	UID, GID int
}

// Mode is the permission bits, up to 07777, of exactly one path. One for the root itself is kept, but a layer that Write
// makes has no entry for the root.
type Mode struct {
	Path string
	Mode uint32
}

// maxID is the largest uid and gid that Linux has; the next number means "no change" to chown.
const maxID = math.MaxUint32 - 1

// DefaultMode is the mode of an entry of which Attrs say nothing.
func DefaultMode(e tree.Entry) uint32 {
	switch {
	case e.Kind == tree.KindLink:
		return 0o777
	case e.Kind == tree.KindDir, e.Executable:
		return 0o755
	}
	return 0o644
}

// Canonical gives the one form of a: clean relative paths, sorted, each once. It fails where a path, an owner or a mode
// cannot be, and where two entries for one path differ.
func (a Attrs) Canonical() (Attrs, error) {
	owners, err := canonical(a.Owners, func(o *Owner) (*string, error) {
		if o.UID < 0 || o.UID > maxID || o.GID < 0 || o.GID > maxID {
			return nil, fmt.Errorf("the owner %d:%d of `%s` is out of range", o.UID, o.GID, o.Path)
		}
		return &o.Path, nil
	})
	if err != nil {
		return Attrs{}, err
	}
	modes, err := canonical(a.Modes, func(m *Mode) (*string, error) {
		if m.Mode > 0o7777 {
			return nil, fmt.Errorf("the mode %o of `%s` has more than permission bits", m.Mode, m.Path)
		}
		return &m.Path, nil
	})
	return Attrs{Owners: owners, Modes: modes}, err
}

// canonical works on a copy of list; check refuses an element or gives the place of its path.
func canonical[T comparable](list []T, check func(*T) (*string, error)) ([]T, error) {
	out := slices.Clone(list)
	path := func(e T) string {
		p, _ := check(&e)
		return *p
	}
	for i := range out {
		p, err := check(&out[i])
		if err != nil {
			return nil, err
		}
		names, err := tree.SplitPath(*p)
		if err != nil {
			return nil, err
		}
		*p = strings.Join(names, "/")
	}
	slices.SortFunc(out, func(x, y T) int { return strings.Compare(path(x), path(y)) })
	out = slices.Compact(out)
	for i := 1; i < len(out); i++ {
		if path(out[i-1]) == path(out[i]) {
			return nil, fmt.Errorf("two different attributes for `%s`", path(out[i]))
		}
	}
	return out, nil
}

// Owner gives the owner of a path. a is canonical.
func (a Attrs) Owner(path string) (uid, gid int) {
	for p := strings.Trim(path, "/"); ; {
		i, ok := slices.BinarySearchFunc(a.Owners, p, func(o Owner, p string) int { return strings.Compare(o.Path, p) })
		if ok {
			return a.Owners[i].UID, a.Owners[i].GID
		}
		if p == "" {
			return 0, 0
		}
		p = p[:max(0, strings.LastIndexByte(p, '/'))]
	}
}

// Mode gives the mode of entry e at a path. a is canonical. Links have no mode of their own.
func (a Attrs) Mode(path string, e tree.Entry) uint32 {
	i, ok := slices.BinarySearchFunc(a.Modes, strings.Trim(path, "/"), func(m Mode, p string) int { return strings.Compare(m.Path, p) })
	if ok && e.Kind != tree.KindLink {
		return a.Modes[i].Mode
	}
	return DefaultMode(e)
}

const (
	attrsHead    = "hewn attributes 1\n"
	maxAttrsLine = 64 << 10 // a path of 4096 bytes, each written with four characters, and room
	maxAttrsText = 256 << 20
)

// EncodeAttrs gives the canonical text of a:
//
//	hewn attributes 1
//	owner 1000:1000 "authentik"
//	mode 1777 "tmp"
//
// Paths are quoted as in Go, with everything but ASCII escaped. Equal attributes have equal texts.
func EncodeAttrs(a Attrs) ([]byte, error) {
	a, err := a.Canonical()
	if err != nil {
		return nil, err
	}
	b := []byte(attrsHead)
	for _, o := range a.Owners {
		b = fmt.Appendf(b, "owner %d:%d ", o.UID, o.GID)
		b = append(strconv.AppendQuoteToASCII(b, o.Path), '\n')
	}
	for _, m := range a.Modes {
		b = fmt.Appendf(b, "mode %04o ", m.Mode)
		b = append(strconv.AppendQuoteToASCII(b, m.Path), '\n')
	}
	return b, nil
}

// ParseAttrs reads what EncodeAttrs wrote and refuses everything else.
func ParseAttrs(text []byte) (Attrs, error) {
	if len(text) > maxAttrsText {
		return Attrs{}, errors.New("attributes: the text is too long")
	}
	rest, ok := bytes.CutPrefix(text, []byte(attrsHead))
	if !ok {
		return Attrs{}, fmt.Errorf("attributes: the first line is not %q", attrsHead)
	}
	var a Attrs
	lines := bufio.NewScanner(bytes.NewReader(rest))
	lines.Buffer(nil, maxAttrsLine)
	for n := 2; lines.Scan(); n++ {
		if err := a.parseLine(lines.Text()); err != nil {
			return Attrs{}, fmt.Errorf("attributes: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return Attrs{}, fmt.Errorf("attributes: %w", err)
	}
	again, err := EncodeAttrs(a)
	if err != nil {
		return Attrs{}, fmt.Errorf("attributes: %w", err)
	}
	if !bytes.Equal(again, text) {
		return Attrs{}, errors.New("attributes: not in canonical form")
	}
	return a, nil
}

func (a *Attrs) parseLine(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	value, quoted, _ := strings.Cut(rest, " ")
	path, err := strconv.Unquote(quoted)
	if err != nil {
		return fmt.Errorf("%q is not a quoted path", quoted)
	}
	switch kind {
	case "owner":
		u, g, _ := strings.Cut(value, ":")
		uid, err1 := strconv.ParseUint(u, 10, 32)
		gid, err2 := strconv.ParseUint(g, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		a.Owners = append(a.Owners, Owner{Path: path, UID: int(uid), GID: int(gid)})
	case "mode":
		mode, err := strconv.ParseUint(value, 8, 16)
		if err != nil {
			return err
		}
		a.Modes = append(a.Modes, Mode{Path: path, Mode: uint32(mode)})
	default:
		return fmt.Errorf("unknown attribute %q", kind)
	}
	return nil
}
