package layers

import (
	"context"
	"math/bits"
	"path"
	"regexp"
	"slices"
	"strings"

	"hewn.example/hewn/internal/tree"
)

// run says that from version `from` up to but not including `to` a path had the content e.
type run struct {
	from, to int
	e        tree.Entry
}

// signature is the set of transitions at which something changed; bit i is the step from version i to version i+1.
type signature uint64

// maxVersions is how far back a plan looks: one more than the transitions that fit a signature.
const maxVersions = 64

func (s signature) has(transition int) bool { return s>>transition&1 == 1 }

func (s signature) each(f func(transition int)) {
	for s != 0 {
		t := bits.TrailingZeros64(uint64(s))
		f(t)
		s &^= 1 << t
	}
}

// signatureOf is when a path with the history runs changed, out of n versions.
func signatureOf(runs []run, n int) signature {
	var s signature
	for _, r := range runs {
		if r.from > 0 {
			s |= 1 << (r.from - 1)
		}
		if r.to < n {
			s |= 1 << (r.to - 1)
		}
	}
	return s
}

// node is one path of all versions together, or several of one family (see families).
type node struct {
	name  string // as a pattern
	kids  []*node
	class *class // where there are no kids: what it belongs to
	group int    // of the recipe, by the patterns
	pats  []int  // patterns of the recipe that match exactly here
	churn bool   // names below it came or went
	layer int    // set when the plan is written down; see writer
}

// walker walks all versions of an image together.
type walker struct {
	dirs   tree.Dirs
	n      int // versions
	prices prices
	unit   int64 // directories up to this size are one unit, and what is larger is a class of its own
	slack  int64 // price up to which a merge is free; see prices
	coarse bool  // only the groups matter: nothing is looked into that belongs to one group as a whole
	sizes  map[tree.Tree]int64
}

// child is an entry of a directory in all versions.
type child struct {
	name  string
	glob  bool
	runs  []run
	state coverState
}

// visit walks what c has below it. It gives the node and the classes in it.
func (w *walker) visit(ctx context.Context, c child, forced signature) (*node, []*class, error) {
	nd := &node{name: c.name, group: c.state.group, pats: c.state.pats}
	whole, err := w.isUnit(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if whole {
		return w.leaf(ctx, nd, c, forced)
	}
	kids, err := w.children(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	for i := 1; i < len(c.runs); i++ { // another name of the family: all below it moved
		if c.runs[i].e.Name != c.runs[i-1].e.Name {
			forced |= signatureOf(c.runs[i-1:i], w.n) | signatureOf(c.runs[i:i+1], w.n)
		}
	}
	set := newClassSet(w.unit)
	for _, k := range kids {
		kid, classes, err := w.visit(ctx, k, forced)
		if err != nil {
			return nil, nil, err
		}
		nd.kids = append(nd.kids, kid)
		nd.churn = nd.churn || !k.glob && !spans(k.runs, w.n)
		for _, cl := range classes {
			set.add(cl)
		}
	}
	if len(nd.kids) == 0 {
		return w.leaf(ctx, nd, c, forced)
	}
	classes := set.list
	if !w.coarse {
		classes = w.prices.settle(classes, w.slack, w.unit)
	}
	if len(classes) == 1 && len(c.state.active) == 0 {
		nd.kids, nd.class = nil, classes[0]
	}
	return nd, classes, nil
}

func spans(runs []run, n int) bool {
	at := 0
	for _, r := range runs {
		if r.from != at {
			return false
		}
		at = r.to
	}
	return at == n
}

// isUnit says that c is not looked into.
func (w *walker) isUnit(ctx context.Context, c child) (bool, error) {
	same, largest := true, int64(0)
	for i, r := range c.runs {
		if r.e.Kind != tree.KindDir {
			return true, nil
		}
		same = same && (i == 0 || r.e == c.runs[i-1].e)
	}
	if len(c.state.active) > 0 {
		return false, nil
	}
	if same || w.coarse {
		return true, nil
	}
	for _, r := range c.runs {
		size, err := w.size(ctx, r.e)
		if err != nil {
			return false, err
		}
		largest = max(largest, size)
	}
	return largest <= w.unit, nil
}

func (w *walker) leaf(ctx context.Context, nd *node, c child, forced signature) (*node, []*class, error) {
	cl := &class{group: c.state.group, sig: forced | signatureOf(c.runs, w.n), sizes: make([]int64, w.n), units: 1}
	for _, r := range c.runs {
		size, err := w.size(ctx, r.e)
		if err != nil {
			return nil, nil, err
		}
		for v := r.from; v < r.to; v++ {
			cl.sizes[v] += size
		}
	}
	nd.class = cl
	return nd, []*class{cl}, nil
}

// size is the estimated compressed size of e and all below it.
func (w *walker) size(ctx context.Context, e tree.Entry) (int64, error) {
	if e.Kind != tree.KindDir {
		return estimate(e), nil
	}
	if s, ok := w.sizes[e.Tree]; ok {
		return s, nil
	}
	d, err := w.dirs.Directory(ctx, e.Tree)
	if err != nil {
		return 0, err
	}
	sum := int64(headerSize)
	for _, f := range d.Files {
		sum += estimate(tree.Entry{Name: f.Name, Kind: tree.KindFile, Digest: f.Digest})
	}
	sum += int64(len(d.Links)) * headerSize
	for _, sub := range d.Dirs {
		s, err := w.size(ctx, tree.Entry{Kind: tree.KindDir, Tree: sub.Tree})
		if err != nil {
			return 0, err
		}
		sum += s
	}
	w.sizes[e.Tree] = sum
	return sum, nil
}

// children gives the entries of a directory in all versions, by name.
func (w *walker) children(ctx context.Context, c child) ([]child, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var kids []child
	index := map[string]int{}
	for _, r := range c.runs {
		d, err := w.dirs.Directory(ctx, r.e.Tree)
		if err != nil {
			return nil, err
		}
		for _, e := range d.Entries() {
			i, ok := index[e.Name]
			if !ok {
				i = len(kids)
				index[e.Name] = i
				kids = append(kids, child{name: escape(e.Name), state: c.state.below(e.Name)})
			}
			runs := kids[i].runs
			if n := len(runs); n > 0 && runs[n-1].to == r.from && runs[n-1].e == e {
				runs[n-1].to = r.to
			} else {
				kids[i].runs = append(runs, run{r.from, r.to, e})
			}
		}
	}
	if !w.coarse {
		kids = w.families(kids)
	}
	slices.SortFunc(kids, func(a, b child) int { return strings.Compare(a.name, b.name) })
	return kids, nil
}

// versionPart is what looks like a version in a name: 1.2, 3_11, 1.2rc1, 2.0.post1.
var versionPart = regexp.MustCompile(`[0-9]+(?:[._][0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.(?:post|dev)[0-9]+)*`)

// families puts together children whose names differ in a version only and of which at most one is there at a time. The
// pattern that names them must match no other name of the directory. All versions in a name may differ (libicu72.so.72.1,
// libicu74.so.74.2), or the last one (lib2to3-1.0, lib2to3-1.1), or the first.
func (w *walker) families(kids []child) []child {
	merged := map[int]child{} // by first member
	gone := map[int]bool{}
	for _, which := range []func(i, n int) bool{
		func(int, int) bool { return true },
		func(i, n int) bool { return i == n-1 },
		func(i, _ int) bool { return i == 0 },
	} {
		byKey := map[string][]int{}
		for i, k := range kids {
			if name := k.runs[0].e.Name; !gone[i] && !spans(k.runs, w.n) && versionPart.MatchString(name) {
				key := familyPattern(name, which)
				byKey[key] = append(byKey[key], i)
			}
		}
		for key, members := range byKey {
			if family, ok := w.family(kids, key, members); ok {
				merged[members[0]] = family
				for _, i := range members {
					gone[i] = true
				}
			}
		}
	}
	if len(merged) == 0 {
		return kids
	}
	var out []child
	for i, k := range kids {
		if f, ok := merged[i]; ok {
			out = append(out, f)
		} else if !gone[i] {
			out = append(out, k)
		}
	}
	return out
}

// familyPattern replaces those versions in name that which chooses, given their number and how many there are. A version
// that the name begins with stays: little else would.
func familyPattern(name string, which func(i, n int) bool) string {
	var b strings.Builder
	at := 0
	found := versionPart.FindAllStringIndex(name, -1)
	if found[0][0] == 0 {
		found = found[1:]
	}
	for i, m := range found {
		if which(i, len(found)) {
			b.WriteString(escape(name[at:m[0]]) + "[0-9]*")
			at = m[1]
		}
	}
	return b.String() + escape(name[at:])
}

func (w *walker) family(kids []child, key string, members []int) (child, bool) {
	if len(members) < 2 {
		return child{}, false
	}
	c := child{name: key, glob: true, state: kids[members[0]].state}
	for _, i := range members {
		if !kids[i].state.equal(c.state) {
			return child{}, false
		}
		c.runs = append(c.runs, kids[i].runs...)
	}
	slices.SortFunc(c.runs, func(a, b run) int { return a.from - b.from })
	for i := 1; i < len(c.runs); i++ {
		if c.runs[i].from < c.runs[i-1].to {
			return child{}, false
		}
	}
	matched := 0
	for _, k := range kids {
		if ok, _ := path.Match(key, k.runs[0].e.Name); ok {
			matched++
		}
	}
	return c, matched == len(members)
}
