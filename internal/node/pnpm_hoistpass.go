package node

import "slices"

// preferences says for each name which packages want it at a place, those with the most dependents first.
func (h *hoister) preferences(place *hoistEntry) (names []string, idents map[string][]string) {
	type wish struct {
		name, ident string
		by, byPeer  map[string]bool
	}
	wishes := map[string]*wish{}
	var order []*wish
	wishFor := func(n *hoistEntry) *wish {
		key := n.name + "@" + n.ident
		w := wishes[key]
		if w == nil {
			w = &wish{n.name, n.ident, map[string]bool{}, map[string]bool{}}
			wishes[key] = w
			order = append(order, w)
		}
		return w
	}
	seen := map[*hoistEntry]bool{place: true}
	var add func(from, n *hoistEntry)
	add = func(from, n *hoistEntry) {
		wishFor(n).by[from.ident] = true
		if seen[n] {
			return
		}
		seen[n] = true
		for _, d := range n.deps.all() {
			w := wishFor(d)
			if n.hasPeer(d.name) {
				w.byPeer[n.ident] = true
			} else {
				add(n, d)
			}
		}
	}
	idents = map[string][]string{place.name: {place.ident}}
	names = []string{place.name}
	for _, d := range place.deps.all() {
		if place.hasPeer(d.name) {
			continue
		}
		add(place, d)
		if _, ok := idents[d.name]; !ok {
			names = append(names, d.name)
		}
		idents[d.name] = []string{d.ident}
	}
	slices.SortStableFunc(order, func(a, b *wish) int { return len(b.by) + len(b.byPeer) - len(a.by) - len(a.byPeer) })
	for _, w := range order {
		if place.hasPeer(w.name) {
			continue
		}
		if _, ok := idents[w.name]; !ok {
			names = append(names, w.name)
		}
		if !slices.Contains(idents[w.name], w.ident) {
			idents[w.name] = append(idents[w.name], w.ident)
		}
	}
	return names, idents
}

// graph hoists what lies below the place to it, until nothing new comes.
func (p *pass) graph() {
	p.seen = map[*hoistEntry]bool{}
	place := p.path[len(p.path)-1]
	var aliased []string
	for _, n := range p.path {
		aliased = append(aliased, n.name+"@"+n.locator)
	}
	for fresh := regular(place); len(fresh) > 0; {
		var next []*hoistEntry
		for _, d := range fresh {
			if d.locator == place.locator || d.border {
				continue
			}
			p.below(nil, aliased, unshare(place, d), &next)
		}
		fresh = next
	}
}

// verdict says whether a package may move to the place; if it needs others to move with it, which.
type verdict struct {
	may   bool
	needs []*hoistEntry
}

// below hoists the dependencies of parent, which lies below the place at path.
func (p *pass) below(path []*hoistEntry, aliased []string, parent *hoistEntry, fresh *[]*hoistEntry) {
	if p.seen[parent] {
		return
	}
	place := p.path[len(p.path)-1]
	aliased = append(aliased[:len(aliased):len(aliased)], parent.name+"@"+parent.locator)
	whole := append([]*hoistEntry{place}, append(path[:len(path):len(path)], parent)...)
	list := regular(parent)
	verdicts := map[*hoistEntry]verdict{}
	dependants := map[string][]string{}
	for _, d := range list {
		v := p.judge(whole, d)
		verdicts[d] = v
		for _, n := range v.needs {
			if !slices.Contains(dependants[n.name], d.name) {
				dependants[n.name] = append(dependants[n.name], d.name)
			}
		}
	}
	stays := map[*hoistEntry]bool{}
	var stay func(n *hoistEntry)
	stay = func(n *hoistEntry) {
		if n == nil || stays[n] {
			return
		}
		stays[n] = true
		for _, name := range dependants[n.name] {
			stay(parent.deps.get(name))
		}
	}
	for _, d := range list {
		if v := verdicts[d]; !v.may && len(v.needs) == 0 {
			stay(d)
		}
	}
	for _, d := range list {
		if !stays[d] {
			p.move(place, parent, d, fresh)
		}
	}
	for _, d := range regular(parent) {
		if stays[d] && !d.border && !slices.Contains(aliased, d.name+"@"+d.locator) {
			p.seen[parent] = true
			p.below(append(path[:len(path):len(path)], parent), aliased, unshare(parent, d), fresh)
			delete(p.seen, parent)
		}
	}
}

func (p *pass) move(place, parent, d *hoistEntry, fresh *[]*hoistEntry) {
	p.changed = true
	if p.above[parent][d.name] {
		p.again = true
	}
	parent.deps.remove(d.name)
	parent.hoisted.set(d)
	if there := place.deps.get(d.name); there != nil {
		for _, r := range d.refs {
			if !slices.Contains(there.refs, r) {
				there.refs = append(there.refs, r)
			}
		}
	} else if place.ident != d.ident {
		place.deps.set(d)
		*fresh = append(*fresh, d)
	}
}

// judge says whether n, a dependency of the last element of path, may move to the first.
func (p *pass) judge(path []*hoistEntry, n *hoistEntry) verdict {
	place, parent := path[0], path[len(path)-1]
	if n.ident == parent.ident || n.workspace || place.hasPeer(n.name) {
		return verdict{}
	}
	if used := p.used[n.name]; used != nil && used.ident != n.ident {
		return verdict{}
	}
	for i := len(path) - 1; i >= 1; i-- {
		if d := path[i].deps.get(n.name); d != nil && d.ident != n.ident {
			if p.shadowed[parent] == nil {
				p.shadowed[parent] = map[string]bool{}
			}
			p.shadowed[parent][n.name] = true
			return verdict{}
		}
	}
	if p.turn[n.name] != n.ident {
		return verdict{}
	}
	v := verdict{may: true}
	check := append([]string(nil), n.peers...)
	for i := len(path) - 1; i >= 1; i-- {
		up := path[i]
		var left []string
		for _, name := range check {
			if up.hasPeer(name) && up.original.get(name) != nil {
				left = append(left, name)
				continue
			}
			if d := up.deps.get(name); d != nil && place.deps.get(name) != d {
				if i < len(path)-1 {
					return verdict{}
				}
				v.needs = append(v.needs, d)
			}
		}
		check = left
	}
	if !p.first {
		for _, d := range n.hoisted.all() {
			used := p.used[d.name]
			if used == nil {
				used = place.deps.get(d.name)
			}
			if used == nil || used.ident != d.ident {
				// What it needs is decided together with those others.
				return verdict{needs: v.needs}
			}
		}
	}
	return v
}
