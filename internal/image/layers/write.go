package layers

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/spec"
)

// writer turns layers of classes into groups of patterns.
type writer struct {
	base   []spec.LayerGroup
	cover  *cover
	layers []*layer
	of     map[*class]int // the layer of a class
	first  []int          // by pattern of the recipe: the lowest layer of what it matches; -1: nothing
	hot    []int          // by group of the recipe: its layer that changes most; -1: none
	out    []spec.LayerGroup
}

// write gives the groups, the least changing first.
func write(base []spec.LayerGroup, c *cover, root *node, layers []*layer, budget int) []spec.LayerGroup {
	w := &writer{base: base, cover: c, layers: sorted(layers), of: map[*class]int{}}
	w.first, w.hot = filled(len(c.pats)), filled(len(base))
	for i, l := range w.layers {
		for _, cl := range l.classes {
			w.of[cl] = i
			w.hot[cl.group] = i
		}
	}
	w.name()
	w.label(root)
	w.match(root)
	w.emit(root, "", -1)
	if root.layer < 0 { // nothing lies in the group that has what no pattern covers: as for other patterns without a match
		w.pattern("/", root.group, budget)
	}
	w.patterns(budget)
	w.out = slices.DeleteFunc(w.out, func(g spec.LayerGroup) bool { return len(g.Paths) == 0 })
	for _, g := range w.out {
		slices.Sort(g.Paths)
	}
	return w.out
}

func filled(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = -1
	}
	return out
}

// sorted orders layers by how likely they change, then as the recipe has their groups, then by size.
func sorted(layers []*layer) []*layer {
	if len(layers) == 0 {
		return nil
	}
	p := newPrices(len(layers[0].sizes) - 1)
	likely := func(l *layer) int64 {
		sum := int64(0)
		l.sig.each(func(t int) { sum += p.weights[t] })
		return sum
	}
	group := func(l *layer) int {
		return slices.MinFunc(l.classes, func(a, b *class) int { return cmp.Compare(a.group, b.group) }).group
	}
	last := len(layers[0].sizes) - 1
	out := slices.Clone(layers)
	slices.SortStableFunc(out, func(a, b *layer) int {
		return cmp.Or(cmp.Compare(likely(a), likely(b)), cmp.Compare(group(a), group(b)), -cmp.Compare(a.sizes[last], b.sizes[last]))
	})
	return out
}

// name calls each layer as the recipe calls what is in it, the group with most bytes first. Of several layers of one
// name the last, which changes most, is `-often` if it changed at all; others are `-2`, `-3` and so on.
func (w *writer) name() {
	names := make([]string, len(w.layers))
	total := map[string]int{}
	for i, l := range w.layers {
		bytes := map[int]int64{}
		for _, c := range l.classes {
			bytes[c.group] += c.sizes[len(c.sizes)-1]
		}
		groups := slices.Sorted(maps.Keys(bytes))
		slices.SortStableFunc(groups, func(a, b int) int { return -cmp.Compare(bytes[a], bytes[b]) })
		var parts []string
		for _, g := range groups {
			parts = append(parts, w.base[g].Name)
		}
		names[i] = joinNames(parts)
		total[names[i]]++
	}
	taken, nth := map[string]bool{}, map[string]int{}
	for _, n := range names {
		if nth[n]++; nth[n] == 1 {
			taken[n] = true // the plain names first, so that nothing numbered takes one
		}
	}
	clear(nth)
	for i, n := range names {
		nth[n]++
		name := n
		switch {
		case nth[n] == 1:
		case nth[n] == total[n] && w.layers[i].sig != 0:
			name = unused(n+"-often", taken)
		default:
			name = unused(fmt.Sprintf("%s-%d", n, nth[n]), taken)
		}
		w.out = append(w.out, spec.LayerGroup{Name: name})
	}
}

// joinNames names what was merged.
func joinNames(names []string) string {
	if len(names) > 3 {
		names = append(slices.Clone(names[:2]), "more")
	}
	return strings.Join(names, "+")
}

// unused gives name, or name with the first number that makes it one that is not taken, and takes it.
func unused(name string, taken map[string]bool) string {
	free := name
	for i := 2; taken[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	taken[free] = true
	return free
}

// label chooses the layer of every node: that of a leaf is known, that of a directory is where what has no pattern of
// its own will go. -1 says that nothing is known.
func (w *writer) label(nd *node) {
	if nd.class != nil {
		nd.layer = w.of[nd.class.root()]
		return
	}
	counts := map[int]int{}
	hottest := -1
	for _, k := range nd.kids {
		w.label(k)
		if k.group == nd.group && k.layer >= 0 {
			counts[k.layer]++
			hottest = max(hottest, k.layer)
		}
	}
	switch {
	case len(counts) == 0:
		nd.layer = w.hot[nd.group]
	case nd.churn:
		nd.layer = hottest
	default:
		nd.layer = -1
		for l, n := range counts {
			if best := counts[nd.layer]; nd.layer < 0 || n > best || n == best && l < nd.layer {
				nd.layer = l
			}
		}
	}
}

// match finds what the recipe's patterns match.
func (w *writer) match(nd *node) {
	for _, p := range nd.pats {
		if nd.layer >= 0 && (w.first[p] < 0 || nd.layer < w.first[p]) {
			w.first[p] = nd.layer
		}
	}
	for _, k := range nd.kids {
		w.match(k)
	}
}

// emit writes a pattern for each node that lies elsewhere than what is above it. A pattern of the recipe with a wildcard
// is written too, in the lowest layer of those that it matches, so that a path in another one, which then is a later
// group, counts before it.
func (w *writer) emit(nd *node, at string, inherited int) {
	name := path.Join("/", at)
	for _, p := range nd.pats {
		if w.cover.pats[p].glob && w.first[p] >= 0 {
			inherited = w.first[p]
		}
	}
	if nd.layer < 0 {
		nd.layer = inherited
	}
	if nd.layer >= 0 && nd.layer != inherited {
		w.out[nd.layer].Paths = append(w.out[nd.layer].Paths, name)
	}
	for _, k := range nd.kids {
		w.emit(k, at+"/"+k.name, nd.layer)
	}
}

// patterns writes those of the recipe that are not said by now: those with wildcards, and those that match nothing yet.
func (w *writer) patterns(budget int) {
	for id, p := range w.cover.pats {
		switch to := w.first[id]; {
		case p.text == "/" || to >= 0 && !p.glob:
		case to >= 0:
			w.put(to, p.text)
		default:
			w.pattern(p.text, p.group, budget)
		}
	}
}

// pattern writes one that matches nothing yet: to what changes most of its group, or, if the group has nothing at all,
// to a layer of its own, or, if there is no room for one, to what changes most of all.
func (w *writer) pattern(text string, group, budget int) {
	if w.hot[group] < 0 {
		if len(w.out) < budget {
			taken := map[string]bool{}
			for _, g := range w.out {
				taken[g.Name] = true
			}
			w.out = append(w.out, spec.LayerGroup{Name: unused(w.base[group].Name, taken)})
			w.hot[group] = len(w.out) - 1
		} else {
			w.hot[group] = len(w.layers) - 1
		}
	}
	w.put(w.hot[group], text)
}

func (w *writer) put(layer int, pattern string) {
	if !slices.Contains(w.out[layer].Paths, pattern) {
		w.out[layer].Paths = append(w.out[layer].Paths, pattern)
	}
}
