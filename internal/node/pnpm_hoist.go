package node

import "strings"

// The hoisted layout has to be that of pnpm, which uses the algorithm of @yarnpkg/nm: in rounds, each package moves to
// the highest node_modules at which it changes nothing that anybody resolves. The order of all lists is part of the
// result.

// hoistEntry is a package at a place in the tree of dependencies. Until one of them is changed, equal ones are shared.
type hoistEntry struct {
	name      string // by which it is imported
	locator   string
	ident     string
	refs      []string
	deps      *entries
	hoisted   *entries // what was moved up from here
	original  *entries
	peers     []string
	own       bool // not shared
	workspace bool
	border    bool // what lies below stays there
}

func newHoistEntry(name, identName, ref string, peers []string) *hoistEntry {
	_, real, ok := strings.Cut(ref, "#")
	if !ok {
		real = ref
	}
	return &hoistEntry{
		name: name, locator: identName + "@" + ref, ident: identName + "@" + real, refs: []string{ref}, peers: peers,
		deps: newEntries(), hoisted: newEntries(), original: newEntries(), own: true,
	}
}

func (e *hoistEntry) hasPeer(name string) bool {
	for _, p := range e.peers {
		if p == name {
			return true
		}
	}
	return false
}

// entries are packages by name, in the order in which they were added.
type entries struct {
	order []string
	by    map[string]*hoistEntry
}

func newEntries() *entries { return &entries{by: map[string]*hoistEntry{}} }

func (e *entries) get(name string) *hoistEntry { return e.by[name] }

func (e *entries) set(n *hoistEntry) {
	if _, ok := e.by[n.name]; !ok {
		e.order = append(e.order, n.name)
	}
	e.by[n.name] = n
}

func (e *entries) remove(name string) {
	if _, ok := e.by[name]; !ok {
		return
	}
	delete(e.by, name)
	for i, n := range e.order {
		if n == name {
			e.order = append(e.order[:i:i], e.order[i+1:]...)
			return
		}
	}
}

func (e *entries) all() []*hoistEntry {
	out := make([]*hoistEntry, 0, len(e.order))
	for _, n := range e.order {
		out = append(out, e.by[n])
	}
	return out
}

func (e *entries) clone() *entries {
	out := &entries{order: append([]string(nil), e.order...), by: make(map[string]*hoistEntry, len(e.by))}
	for n, v := range e.by {
		out.by[n] = v
	}
	return out
}

type hoister struct {
	root  *hoistEntry
	first bool // the first round, in which nothing has moved yet
}

// hoist moves everything below root as high as it can go.
func hoist(root *hoistEntry) {
	h := &hoister{root: root, first: true}
	for again := true; again; h.first = false {
		more, changed := h.to([]*hoistEntry{root}, map[string]bool{root.locator: true}, nil, map[*hoistEntry]bool{})
		again = more || changed
	}
}

// unshare gives parent a copy of its own of a shared dependency.
func unshare(parent, n *hoistEntry) *hoistEntry {
	if n.own {
		return n
	}
	c := *n
	c.refs = append([]string(nil), n.refs...)
	c.deps, c.hoisted, c.original, c.own = n.deps.clone(), n.hoisted.clone(), n.original.clone(), true
	if self := c.deps.get(c.name); self != nil && self.ident == c.ident {
		c.deps.set(&c)
	}
	parent.deps.set(&c)
	return &c
}

// regular lists the dependencies that are no peers, each after the ones that are its peers.
func regular(n *hoistEntry) []*hoistEntry {
	var out []*hoistEntry
	in := map[*hoistEntry]bool{}
	var add func(d *hoistEntry, seen map[*hoistEntry]bool)
	add = func(d *hoistEntry, seen map[*hoistEntry]bool) {
		if seen[d] {
			return
		}
		seen[d] = true
		for _, p := range d.peers {
			if n.hasPeer(p) {
				continue
			}
			if dep := n.deps.get(p); dep != nil && !in[dep] {
				add(dep, seen)
			}
		}
		if !in[d] {
			in[d] = true
			out = append(out, d)
		}
	}
	for _, d := range n.deps.all() {
		if !n.hasPeer(d.name) {
			add(d, map[*hoistEntry]bool{})
		}
	}
	return out
}

type shadows map[*hoistEntry]map[string]bool

// pass is one hoisting to one place.
type pass struct {
	*hoister
	path     []*hoistEntry // from the root of all to the place
	locators map[string]bool
	used     map[string]*hoistEntry
	turn     map[string]string // which package may have a name now
	above    shadows           // names that hid something, one place further up
	shadowed shadows
	seen     map[*hoistEntry]bool
	again    bool
	changed  bool
}

// to hoists to the last element of path, then to all places below it.
func (h *hoister) to(path []*hoistEntry, locators map[string]bool, above shadows, seen map[*hoistEntry]bool) (again, changed bool) {
	place := path[len(path)-1]
	if seen[place] {
		return false, false
	}
	seen[place] = true
	names, idents := h.preferences(place)
	p := &pass{hoister: h, path: path, locators: locators, above: above, shadowed: shadows{}, turn: map[string]string{}, used: map[string]*hoistEntry{}}
	switch {
	case place == h.root:
	case h.first:
		p.used = usedAtFirst(place)
	default:
		p.used = usedBelow(path)
	}
	for n, list := range idents {
		p.turn[n] = list[0]
	}
	for next := true; next; {
		p.graph()
		next = false
		for _, n := range names {
			if len(idents[n]) > 1 && place.deps.get(n) == nil {
				idents[n] = idents[n][1:]
				p.turn[n] = idents[n][0]
				next = true
			}
		}
	}
	again, changed = p.again, p.changed
	for _, name := range append([]string(nil), place.deps.order...) {
		d := place.deps.get(name)
		if d == nil || place.hasPeer(name) || locators[d.locator] {
			continue
		}
		locators[d.locator] = true
		a, c := h.to(append(path[:len(path):len(path)], d), locators, p.shadowed, seen)
		again, changed = again || a, changed || c
		delete(locators, d.locator)
	}
	return again, changed
}

func usedAtFirst(place *hoistEntry) map[string]*hoistEntry {
	used, seen := map[string]*hoistEntry{}, map[*hoistEntry]bool{}
	var add func(n *hoistEntry)
	add = func(n *hoistEntry) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, d := range n.hoisted.all() {
			used[d.name] = d
		}
		for _, d := range n.deps.all() {
			if !n.hasPeer(d.name) {
				add(d)
			}
		}
	}
	add(place)
	return used
}

// usedBelow is what packages below the place find above it.
func usedBelow(path []*hoistEntry) map[string]*hoistEntry {
	used, seen := map[string]*hoistEntry{}, map[*hoistEntry]bool{}
	var add func(n *hoistEntry, hidden map[string]bool)
	add = func(n *hoistEntry, hidden map[string]bool) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, d := range n.hoisted.all() {
			if hidden[d.name] {
				continue
			}
			for _, up := range path {
				if r := up.deps.get(d.name); r != nil {
					used[r.name] = r
				}
			}
		}
		below := map[string]bool{}
		for _, d := range n.deps.all() {
			below[d.name] = true
		}
		for _, d := range n.deps.all() {
			if !n.hasPeer(d.name) {
				add(d, below)
			}
		}
	}
	add(path[len(path)-1], map[string]bool{})
	return used
}
