package layers

import "slices"

const (
	fullWeight  = 1 << 12        // of the latest transition
	decay       = 85             // percent of the weight that the transition before one has
	mergeShare  = 10             // percent of a directory's price that may be lost by making it one unit
	sizeMost    = int64(1) << 40 // sizes are capped here, so that no price overflows: 2^40 * 2^12 * 64 < 2^63
	pairsMost   = 256            // classes that are compared each with each other
	passesMost  = 8              // rounds of moving classes between layers
	lossShare   = 200            // at most this fraction of a whole update is lost by making a directory one unit
	slackShare  = 4096           // what is less than this fraction of the image is not worth a distinction
	slackLeast  = unitLeast / 16 // bytes; nor is what is smaller than this
	unitShare   = 256            // what is less than this fraction of the image is a unit
	unitLeast   = 64 << 10       // bytes; and so is what is smaller than this
	probability = 1 << 12        // that something is certain, in the fixed-point numbers of chances
)

// prices is what a transition weighs. A price is bytes times weight; all weights together are total.
type prices struct {
	weights []int64
	total   int64
}

func newPrices(transitions int) prices {
	p := prices{weights: make([]int64, transitions)}
	w := int64(fullWeight)
	for t := transitions - 1; t >= 0; t-- {
		p.weights[t] = w
		p.total += w
		w = max(1, w*decay/100)
	}
	return p
}

// of is the price over the history of a layer with this signature and these sizes.
func (p prices) of(sig signature, sizes []int64) int64 {
	sum := int64(0)
	sig.each(func(t int) { sum += p.weights[t] * min(sizes[t+1], sizeMost) })
	return sum
}

// together is what it adds to the price over the history if a and b lie in one layer.
func (p prices) together(a, b *class) int64 {
	sum := int64(0)
	(b.sig &^ a.sig).each(func(t int) { sum += p.weights[t] * min(a.sizes[t+1], sizeMost) })
	(a.sig &^ b.sig).each(func(t int) { sum += p.weights[t] * min(b.sizes[t+1], sizeMost) })
	return sum
}

// model is what is expected of an update: what happened before, and what did not. The second is learned from how often
// it happened in each group of the recipe that a unit changed for the first time.
type model struct {
	prices
	groups []novelty
}

// novelty is how a group of the recipe surprises.
type novelty struct {
	chance int64  // that an update changes any unit which did not change before; see probability
	stays  uint64 // given that, the chance of one unit not to; 1<<32 is certain
}

// newModel counts first changes. Counts are smoothed by half an event, as if every history had seen a little more.
func newModel(p prices, classes []*class, groups int) *model {
	m := &model{prices: p, groups: make([]novelty, groups)}
	transitions := len(p.weights)
	for g := range m.groups {
		first, units := make([]int, transitions), 0
		for _, c := range classes {
			if c.group != g {
				continue
			}
			units += c.units
			if c.sig != 0 {
				for t := range transitions {
					if c.sig.has(t) {
						first[t] += c.units
						break
					}
				}
			}
		}
		surprises, events, exposed, fresh := 0, 0, 0, units
		for _, n := range first {
			if n > 0 {
				surprises, events, exposed = surprises+1, events+n, exposed+fresh
			}
			fresh -= n
		}
		changes := uint64(2*events+1) << 32 / uint64(max(1, 2*exposed+2*units))
		m.groups[g] = novelty{
			chance: int64(2*surprises+1) * probability / int64(2*transitions+2),
			stays:  1<<32 - min(changes, 1<<32),
		}
	}
	return m
}

// unseen is the chance that an update changes some of these units, by group, although nothing said so.
func (m *model) unseen(units []int) int64 {
	still := int64(probability)
	for g, n := range units {
		if n > 0 {
			some := probability - int64(power(m.groups[g].stays, n)>>20) // to the scale of probability
			still = still * (probability - m.groups[g].chance*some/probability) / probability
		}
	}
	return probability - still
}

// power is x^n, where 1<<32 is one.
func power(x uint64, n int) uint64 {
	out := uint64(1 << 32)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			out = mulFixed(out, x)
		}
		x = mulFixed(x, x)
	}
	return out
}

// mulFixed multiplies two numbers up to 1<<32 of that scale.
func mulFixed(a, b uint64) uint64 {
	if a == 1<<32 {
		return b
	}
	return a * b >> 32
}

// layer is some classes that will lie together.
type layer struct {
	classes []*class
	sig     signature
	sizes   []int64
	units   []int // by group
}

func (m *model) newLayer(classes ...*class) *layer {
	l := &layer{sizes: make([]int64, len(m.weights)+1), units: make([]int, len(m.groups))}
	for _, c := range classes {
		l.add(c)
	}
	return l
}

func (l *layer) add(c *class) {
	l.classes = append(l.classes, c)
	l.sig |= c.sig
	for v, s := range c.sizes {
		l.sizes[v] += s
	}
	l.units[c.group] += c.units
}

// price is what updates like those of the history are expected to pull of l: all of it in those that touched it, and in
// the others as far as surprises are likely.
func (m *model) price(l *layer) int64 {
	seen, other := int64(0), int64(0)
	for t, w := range m.weights {
		if size := w * min(l.sizes[t+1], sizeMost); l.sig.has(t) {
			seen += size
		} else {
			other += size
		}
	}
	return seen + other/probability*m.unseen(l.units)
}

// loss is what it adds to the price if a and b lie in one layer. both is scratch space for it.
func (m *model) loss(a, b, both *layer) int64 {
	return m.union(a, b, both) - m.price(a) - m.price(b)
}

func (m *model) union(a, b, both *layer) int64 {
	both.sig = a.sig | b.sig
	for v := range both.sizes {
		both.sizes[v] = a.sizes[v] + b.sizes[v]
	}
	for g := range both.units {
		both.units[g] = a.units[g] + b.units[g]
	}
	return m.price(both)
}

// distribute puts classes into at most budget layers, and no more than make a difference of more than slack.
func (m *model) distribute(classes []*class, budget int, slack int64) []*layer {
	classes = slices.Clone(classes)
	slices.SortStableFunc(classes, func(a, b *class) int { return int(max(-1, min(1, weightOf(b)-weightOf(a)))) })
	both := m.newLayer()
	var layers []*layer
	for i, c := range classes {
		if i < pairsMost {
			layers = append(layers, m.newLayer(c))
			continue
		}
		one := m.newLayer(c)
		best, least := 0, int64(-1)
		for j, l := range layers {
			if loss := m.loss(l, one, both); least < 0 || loss < least {
				best, least = j, loss
			}
		}
		layers[best].add(c)
	}
	merge := newMerger(layers, func(a, b *layer) int64 { return m.loss(a, b, both) })
	for merge.count > 1 {
		i, j, loss := merge.cheapest()
		if merge.count <= budget && (loss > slack || layers[i].classes[0].group != layers[j].classes[0].group) {
			break
		}
		for _, c := range layers[j].classes {
			layers[i].add(c)
		}
		merge.merged(i, j)
	}
	var out []*layer
	for i, l := range layers {
		if !merge.gone[i] {
			out = append(out, l)
		}
	}
	return m.improve(out)
}

// improve moves single classes to other layers as long as the price falls.
func (m *model) improve(layers []*layer) []*layer {
	both := m.newLayer()
	for range passesMost {
		moved := false
		for _, from := range layers {
			for i := 0; i < len(from.classes) && len(from.classes) > 1; i++ {
				one := m.newLayer(from.classes[i])
				rest := m.newLayer(slices.Concat(from.classes[:i], from.classes[i+1:])...)
				gain := m.price(from) - m.price(rest)
				var best *layer
				for _, to := range layers {
					if to == from {
						continue
					}
					if cost := m.union(to, one, both) - m.price(to); cost < gain {
						best, gain = to, cost
					}
				}
				if best != nil {
					best.add(one.classes[0])
					*from = *rest
					i, moved = i-1, true
				}
			}
		}
		if !moved {
			break
		}
	}
	return layers
}
