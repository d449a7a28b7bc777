package layers

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
)

// cover is the patterns of some groups as one automaton over the names of a path.
type cover struct {
	start  coverState
	groups int
	pats   []pattern
}

// pattern is one path of a group.
type pattern struct {
	group int
	text  string
	glob  bool
}

// coverNode is a place within one pattern or more.
type coverNode struct {
	group    int   // that the patterns which end here give; -1 where none does
	pats     []int // which end here
	literals map[string]*coverNode
	globs    []coverGlob
}

type coverGlob struct {
	name string
	next *coverNode
}

// coverState is what is known at one path: whom it belongs to, and which patterns can still match below it.
type coverState struct {
	group  int
	active []*coverNode
	pats   []int // that match exactly here
}

func newCover(groups []spec.LayerGroup) (*cover, error) {
	root := &coverNode{group: -1}
	c := &cover{groups: len(groups)}
	owner := 0
	for g, group := range groups {
		for _, p := range group.Paths {
			id := len(c.pats)
			if p == "/" {
				owner = g
				c.pats = append(c.pats, pattern{group: g, text: p})
				continue
			}
			if !strings.HasPrefix(p, "/") || path.Clean(p) != p {
				return nil, diag.Inputf("bad-image", "the path %q of layer `%s` is not absolute and clean", p, group.Name)
			}
			n, isGlob := root, false
			for _, name := range strings.Split(p[1:], "/") {
				literal, ok := unescape(name)
				if !ok {
					if _, err := path.Match(name, ""); err != nil {
						return nil, diag.Inputf("bad-image", "%q in a path of layer `%s` is not a well-formed pattern", name, group.Name).Because(err)
					}
					isGlob = true
				}
				n = n.child(name, literal, ok)
			}
			n.group = g // groups come in order, so the later one stands
			n.pats = append(n.pats, id)
			c.pats = append(c.pats, pattern{group: g, text: p, glob: isGlob})
		}
	}
	c.start = coverState{group: owner}
	if root.leads() {
		c.start.active = []*coverNode{root}
	}
	return c, nil
}

func (n *coverNode) leads() bool { return len(n.literals)+len(n.globs) > 0 }

func (n *coverNode) child(name, literal string, isLiteral bool) *coverNode {
	if isLiteral {
		if n.literals == nil {
			n.literals = map[string]*coverNode{}
		}
		if n.literals[literal] == nil {
			n.literals[literal] = &coverNode{group: -1}
		}
		return n.literals[literal]
	}
	for _, g := range n.globs {
		if g.name == name {
			return g.next
		}
	}
	next := &coverNode{group: -1}
	n.globs = append(n.globs, coverGlob{name, next})
	return next
}

// below gives the state of the entry called name.
func (s coverState) below(name string) coverState {
	out := coverState{group: s.group}
	best := -1
	step := func(n *coverNode) {
		best = max(best, n.group)
		out.pats = append(out.pats, n.pats...)
		if n.leads() {
			out.active = append(out.active, n)
		}
	}
	for _, a := range s.active {
		if n := a.literals[name]; n != nil {
			step(n)
		}
		for _, g := range a.globs {
			if ok, _ := path.Match(g.name, name); ok {
				step(g.next)
			}
		}
	}
	if best >= 0 {
		out.group = best
	}
	return out
}

func (s coverState) equal(o coverState) bool {
	return s.group == o.group && slices.Equal(s.active, o.active) && slices.Equal(s.pats, o.pats)
}

const special = `*?[\`

// escape writes a name so that as a pattern it matches itself only.
func escape(name string) string {
	if !strings.ContainsAny(name, special) {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// unescape is the reverse of escape; not ok says that the pattern is more than one name.
func unescape(name string) (literal string, ok bool) {
	if !strings.ContainsAny(name, special) {
		return name, true
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			if i++; i == len(name) {
				return "", false
			}
		}
		b.WriteByte(name[i])
	}
	return b.String(), true
}

// checkGroups says what is wrong with groups that are to be planned for.
func checkGroups(groups []spec.LayerGroup) error {
	img := spec.Image{Layers: groups}
	if err := img.Validate(); err != nil {
		return fmt.Errorf("cannot plan layers: %w", err)
	}
	return nil
}
