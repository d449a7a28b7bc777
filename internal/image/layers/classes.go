package layers

import (
	"cmp"
	"math"
	"slices"
)

// class is parts of the image that will lie in one layer: of one group of the recipe and with one signature, until
// classes are merged.
type class struct {
	into  *class // what it was merged into, or nil
	group int
	sig   signature
	sizes []int64 // by version, estimated
	units int     // how many parts of the image there are in it that change by themselves
}

func (c *class) root() *class {
	for c.into != nil {
		if c.into.into != nil {
			c.into = c.into.into
		}
		c = c.into
	}
	return c
}

// absorb puts o into c.
func (c *class) absorb(o *class) {
	c.sig |= o.sig
	for v, s := range o.sizes {
		c.sizes[v] += s
	}
	c.units += o.units
	o.into, o.sizes = c, nil
}

// classSet collects classes. Of the same group and signature those smaller than grain become one, so that there are not
// thousands; larger ones stay by themselves, since they may still come to lie in different layers.
type classSet struct {
	grain int64
	list  []*class
	by    map[classKey]*class
}

type classKey struct {
	group int
	sig   signature
}

func newClassSet(grain int64) *classSet { return &classSet{grain: grain, by: map[classKey]*class{}} }

func (s *classSet) add(c *class) {
	if weightOf(c) >= s.grain {
		s.list = append(s.list, c)
		return
	}
	key := classKey{c.group, c.sig}
	if same := s.by[key]; same != nil {
		same.absorb(c)
		return
	}
	s.by[key] = c
	s.list = append(s.list, c)
}

// settle merges classes of one group where that costs at most slack and one of them at least is no larger than a grain, and all of a group's where that costs little
// against what they cost anyway.
func (p prices) settle(classes []*class, slack, grain int64) []*class {
	if len(classes) < 2 {
		return classes
	}
	for _, group := range byGroup(classes) {
		group = p.fold(group, slack, grain)
		if len(group) < 2 {
			continue
		}
		apart, sig, sizes := int64(0), signature(0), make([]int64, len(group[0].sizes))
		for _, c := range group {
			apart += p.of(c.sig, c.sizes)
			sig |= c.sig
			for v, s := range c.sizes {
				sizes[v] += s
			}
		}
		loss := p.of(sig, sizes) - apart
		if loss <= apart*mergeShare/100 && loss <= slack*slackShare/lossShare {
			for _, c := range group[1:] {
				group[0].absorb(c)
			}
			group[0].units = 1
		}
	}
	return slices.DeleteFunc(classes, func(c *class) bool { return c.into != nil })
}

func byGroup(classes []*class) [][]*class {
	index := map[int]int{}
	var out [][]*class
	for _, c := range classes {
		i, ok := index[c.group]
		if !ok {
			i = len(out)
			index[c.group] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

// fold merges the cheapest pairs as long as one costs at most slack. Of very many classes the smallest are folded first,
// whatever it costs, so that the comparison of each with each stays bounded.
func (p prices) fold(classes []*class, slack, grain int64) []*class {
	live := slices.Clone(classes)
	if len(live) > pairsMost {
		slices.SortStableFunc(live, func(a, b *class) int { return -cmp.Compare(weightOf(a), weightOf(b)) })
		for _, c := range live[pairsMost:] {
			best := slices.MinFunc(live[:pairsMost], func(a, b *class) int { return cmp.Compare(p.together(a, c), p.together(b, c)) })
			best.absorb(c)
		}
		live = live[:pairsMost]
	}
	m := newMerger(live, func(a, b *class) int64 {
		if weightOf(a) >= grain && weightOf(b) >= grain {
			return math.MaxInt64
		}
		return p.together(a, b)
	})
	for m.count > 1 {
		i, j, loss := m.cheapest()
		if loss > slack {
			break
		}
		live[i].absorb(live[j])
		m.merged(i, j)
	}
	return slices.DeleteFunc(live, func(c *class) bool { return c.into != nil })
}

func weightOf(c *class) int64 {
	most := int64(0)
	for _, s := range c.sizes {
		most = max(most, s)
	}
	return most
}

// merger finds the cheapest pair of values again and again while pairs are merged. It remembers for each value its best
// partner among those after it.
type merger[T any] struct {
	items []T
	loss  func(a, b T) int64
	gone  []bool
	best  []int
	price []int64
	count int
}

func newMerger[T any](items []T, loss func(a, b T) int64) *merger[T] {
	n := len(items)
	m := &merger[T]{items: items, loss: loss, gone: make([]bool, n), best: make([]int, n), price: make([]int64, n), count: n}
	for i := range items {
		m.search(i)
	}
	return m
}

func (m *merger[T]) search(i int) {
	m.best[i] = -1
	for j := i + 1; j < len(m.items); j++ {
		if !m.gone[j] {
			m.offer(i, j)
		}
	}
}

func (m *merger[T]) offer(i, j int) {
	if l := m.loss(m.items[i], m.items[j]); m.best[i] < 0 || l < m.price[i] {
		m.best[i], m.price[i] = j, l
	}
}

// cheapest gives the pair that costs least, the first of several. There are two values at least.
func (m *merger[T]) cheapest() (i, j int, loss int64) {
	at := -1
	for i := range m.items {
		if !m.gone[i] && m.best[i] >= 0 && (at < 0 || m.price[i] < m.price[at]) {
			at = i
		}
	}
	return at, m.best[at], m.price[at]
}

// merged says that the j-th value is part of the i-th now, which is the earlier one.
func (m *merger[T]) merged(i, j int) {
	m.gone[j] = true
	m.count--
	for k := range m.items {
		switch {
		case m.gone[k]:
		case k == i, m.best[k] == i, m.best[k] == j:
			m.search(k)
		case k < i:
			m.offer(k, i)
		}
	}
}
