package node

import (
	"slices"
	"strings"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
)

// yarnNode is a package of a yarn project: what all patterns lead to that were resolved to the same.
type yarnNode struct {
	name     string
	version  string
	deps     []*yarnNode // each once, in the order of the manifest
	patterns []string    // by which deps are asked for, of the same length
	peers    []string    // names
	answers  []string    // patterns that lead to it
	asked    [][]string  // by whom: names from the project down
	bundled  []string    // names of packages that lie in its own archive

	pattern string // by which the project itself asks for it, or the first that led to it

	locked     npm.Package   // what the lock says
	files      engine.Static // zero for links
	link       string        // the directory of the project that a link leads to
	local      *npm.Manifest // of such a directory
	peerRanges map[string]string
	bins       []npm.Bin
	os, cpu    []string
	scripts    bool // it has install scripts

	optional     bool // nothing that has to be there needs it
	ignored      bool // only for development, which is not asked for
	incompatible bool // optional, and not for the platform
}

// yarnPlace is a package at a place: names from the top to the package's own. It is yarn's HoistManifest.
type yarnPlace struct {
	node     *yarnNode
	key      string
	parts    []string
	direct   bool // the project itself asks for it
	required bool // it is installed
}

// yarnHoister finds out where yarn 1 puts packages. It is its package-hoister.js, but for `nohoist` and the focus on one
// workspace.
type yarnHoister struct {
	tree   map[string]*yarnPlace
	taints map[string]*yarnNode // places that are kept for one package
	queue  []yarnQueued
}

type yarnQueued struct {
	pattern string
	node    *yarnNode
	parent  *yarnPlace
}

// hoistYarn gives the places of all packages that top and what they need are, by key.
func hoistYarn(top []*yarnNode) map[string]*yarnPlace {
	h := &yarnHoister{tree: map[string]*yarnPlace{}, taints: map[string]*yarnNode{}}
	var unique []*yarnNode
	for _, n := range top {
		if !slices.Contains(unique, n) {
			unique = append(unique, n)
		}
	}
	h.prepass(unique)
	for _, n := range unique {
		h.seed(n, true, nil)
	}
	for len(h.queue) > 0 {
		queue := h.queue
		h.queue = nil
		for _, q := range peersFirst(queue) {
			if p := h.seed(q.node, false, q.parent); p != nil {
				h.hoist(p)
			}
		}
	}
	h.propagate()
	return h.tree
}

// peersFirst orders a level: by pattern, and packages after those of the level that are their peers.
func peersFirst(queue []yarnQueued) []yarnQueued {
	slices.SortStableFunc(queue, func(a, b yarnQueued) int { return strings.Compare(a.pattern, b.pattern) })
	var out []yarnQueued
	available := map[string]bool{} // patterns, as in yarn, although peers are names
	for changed := true; changed && len(queue) > 0; {
		changed = false
		var left []yarnQueued
		for _, q := range queue {
			if slices.ContainsFunc(q.node.peers, func(n string) bool { return !available[n] }) {
				left = append(left, q)
				continue
			}
			out, changed = append(out, q), true
			available[q.pattern] = true
		}
		queue = left
	}
	return append(out, queue...)
}

func yarnKey(parts []string) string { return strings.Join(parts, "#") }

// taint keeps a place for one package.
func (h *yarnHoister) taint(key string, n *yarnNode) {
	if old, ok := h.taints[key]; !ok || old == n {
		h.taints[key] = n
	}
}

func (h *yarnHoister) seed(n *yarnNode, direct bool, parent *yarnPlace) *yarnPlace {
	p := &yarnPlace{node: n, direct: direct, required: direct && !n.ignored && !n.incompatible}
	if parent != nil {
		if h.tree[parent.key] == nil {
			return nil
		}
		if !direct && !n.incompatible && parent.required {
			p.required = true
		}
		p.parts = slices.Clone(parent.parts)
	}
	p.parts = append(p.parts, n.name)
	p.key = yarnKey(p.parts)
	h.tree[p.key] = p
	h.taint(p.key, n)
	for i, d := range n.deps {
		h.queue = append(h.queue, yarnQueued{n.patterns[i], d, p})
	}
	return p
}

func (h *yarnHoister) hoist(p *yarnPlace) {
	oldKey, oldParts := p.key, p.parts
	delete(h.tree, oldKey)
	parts, duplicate := h.newParts(oldKey, p, slices.Clone(oldParts))
	newKey := yarnKey(parts)
	if duplicate || newKey != oldKey {
		above := oldParts[:len(oldParts)-1]
		for i := len(parts) - 1; i < len(above); i++ {
			h.taint(yarnKey(append(slices.Clone(above[:i]), p.node.name)), p.node)
		}
	}
	if !duplicate {
		p.key, p.parts = newKey, parts
		h.tree[newKey] = p
	}
}

// newParts is the highest place for a package; duplicate says that it is there already.
func (h *yarnHoister) newParts(key string, p *yarnPlace, parts []string) (at []string, duplicate bool) {
	name := parts[len(parts)-1]
	parts = parts[:len(parts)-1]
	under := func(dir []string, name string) []string { return append(slices.Clone(dir), name) }
	for i := len(parts) - 1; i >= 0; i-- {
		check := under(parts[:i], name)
		if there := h.tree[yarnKey(check)]; there != nil {
			if there.node != p.node {
				break // all above is in its shadow
			}
			there.required = there.required || p.required
			return check, true
		}
		if by := h.taints[yarnKey(check)]; by != nil && by != p.node {
			break
		}
	}
	var stack []string
	up := false
	for len(parts) > 0 {
		if slices.ContainsFunc(p.node.peers, func(peer string) bool { return h.tree[yarnKey(under(parts, peer))] != nil }) {
			break // not above its peers
		}
		check := yarnKey(under(parts, name))
		if h.tree[check] != nil || key != check && h.taints[check] != nil {
			up = true
			break
		}
		stack = append(stack, parts[len(parts)-1])
		parts = parts[:len(parts)-1]
	}
	parts = append(parts, name)
	valid := func() bool {
		k := yarnKey(parts)
		if there := h.tree[k]; there != nil && there.node == p.node {
			return true
		}
		by := h.taints[k]
		return by == nil || by == p.node
	}
	if !valid() {
		up = true
	}
	for up && len(stack) > 0 {
		parts = append(parts[:len(parts)-1], stack[len(stack)-1], name)
		stack = stack[:len(stack)-1]
		up = !valid()
	}
	return parts, false
}

// propagate marks what is needed by something that is installed.
func (h *yarnHoister) propagate() {
	var queue []*yarnPlace
	for _, p := range h.tree {
		if p.required {
			queue = append(queue, p)
		}
	}
	for k := 0; k < len(queue); k++ {
		for _, d := range queue[k].node.deps {
			if to := h.find(queue[k].parts, d.name); to != nil && !to.required && !to.node.incompatible {
				to.required = true
				queue = append(queue, to)
			}
		}
	}
}

// find is the package that a name leads to from a place.
func (h *yarnHoister) find(from []string, name string) *yarnPlace {
	for i := len(from); i >= 0; i-- {
		if p := h.tree[yarnKey(append(slices.Clone(from[:i]), name))]; p != nil {
			return p
		}
	}
	return nil
}

// prepass puts that version of a package at the top that most others need, if it is not one of the project's own.
func (h *yarnHoister) prepass(top []*yarnNode) {
	type seen struct {
		node *yarnNode
		by   map[*yarnNode]bool
	}
	versions := map[string]map[string]*seen{}
	direct := map[string]bool{}
	sorted := slices.Clone(top)
	slices.SortStableFunc(sorted, func(a, b *yarnNode) int { return strings.Compare(a.pattern, b.pattern) })
	visited := map[*yarnNode]bool{}
	var visit func(n *yarnNode, above []*yarnNode)
	visit = func(n *yarnNode, above []*yarnNode) {
		if slices.Contains(above, n) {
			return
		}
		if versions[n.name] == nil {
			versions[n.name] = map[string]*seen{}
		}
		v := versions[n.name][n.version]
		if v == nil {
			v = &seen{n, map[*yarnNode]bool{}}
			versions[n.name][n.version] = v
		}
		if len(above) > 0 {
			v.by[above[len(above)-1]] = true
		}
		if visited[n] {
			return
		}
		for _, d := range n.deps {
			visit(d, append(slices.Clip(above), n))
		}
		visited[n] = true
	}
	for _, n := range sorted {
		direct[n.name] = true
		visit(n, nil)
	}
	var names []string
	for name, all := range versions {
		if len(all) > 1 && !direct[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if h.tree[name] != nil {
			continue
		}
		var most *seen
		var all []string
		for v := range versions[name] {
			all = append(all, v)
		}
		slices.Sort(all)
		for _, v := range all {
			if s := versions[name][v]; most == nil || len(s.by) > len(most.by) {
				most = s
			}
		}
		if len(most.by) > 1 {
			h.seed(most.node, false, nil)
		}
	}
}
