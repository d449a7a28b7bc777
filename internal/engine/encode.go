package engine

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// A step has one canonical encoding: the identity of a step is a hash over it, and traces hold whole graphs in it. It is
// written by hand because a trace of ten thousand steps must be read in a few milliseconds; JSON takes ten times that.
//
// Integers are varints, texts have their length in front, lists their number of elements. Nothing is optional.

// maxList bounds every list of an encoding that is read: far above any real graph, far below what would exhaust memory.
const maxList = 10_000_000

var errTruncated = errors.New("engine: encoding ends too early or holds an impossible length")

type writer struct{ b []byte }

func (w *writer) num(n uint64)  { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) text(s string) { w.num(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}
func (w *writer) texts(s []string) {
	w.num(uint64(len(s)))
	for _, v := range s {
		w.text(v)
	}
}

// reader reads what writer wrote. After the first error everything it gives is zero. What it gives shares the memory of
// what it reads.
type reader struct {
	s   string
	err error
}

func (r *reader) num() uint64 {
	var v uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

// count reads the number of elements of a list, each of which takes at least one byte.
func (r *reader) count() int {
	n := r.num()
	if n > uint64(len(r.s)) || n > maxList {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) text() string { return r.take(r.count()) }

func (r *reader) take(n int) string {
	if n > len(r.s) {
		r.fail()
		return ""
	}
	v := r.s[:n]
	r.s = r.s[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.s) == 0 {
		r.fail()
		return 0
	}
	v := r.s[0]
	r.s = r.s[1:]
	return v
}

func (r *reader) bool() bool { return r.byte() == 1 }

func (r *reader) texts() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	s := make([]string, n)
	for i := range s {
		s[i] = r.text()
	}
	return s
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errTruncated
	}
	r.s = ""
}

// runWithRoots stands in place of opRun for an action that has further roots, so that all others have the encoding, and
// the identity, that they had before there were any.
const runWithRoots = 'R'

// encode writes n without its label and without its inputs.
func (n *node) encode(w *writer) {
	if n.Op == opRun && len(n.Command.Roots) > 0 {
		w.b = append(w.b, runWithRoots)
		writeCommand(w, n.Command)
		writeRoots(w, n.Command.Roots)
		return
	}
	w.b = append(w.b, byte(n.Op))
	switch n.Op {
	case opTree:
		w.text(n.Tree.String())
	case opSource, opTarget:
		w.text(n.Name)
	case opFetch:
		writeArtifact(w, n.Artifact)
	case opGit:
		w.texts([]string{n.Git.Repo, n.Git.Rev, n.Git.Commit, n.Git.Subdir})
	case opNative:
		w.text(n.Name)
		w.text(string(n.Params))
	case opRun:
		writeCommand(w, n.Command)
	}
}

// decodeNode reads what encode wrote. The inputs are still missing.
func decodeNode(r *reader) *node {
	n := &node{Op: op(r.byte())}
	switch n.Op {
	case opTree:
		d, err := digest.Parse(r.text())
		if err != nil {
			r.fail()
		}
		n.Tree = tree.Of(d)
	case opSource, opTarget:
		n.Name = r.text()
	case opFetch:
		n.Artifact = readArtifact(r)
	case opGit:
		if t := r.texts(); len(t) == 4 {
			n.Git = source.GitRef{Repo: t[0], Rev: t[1], Commit: t[2], Subdir: t[3]}
		} else {
			r.fail()
		}
	case opNative:
		n.Name = r.text()
		n.Params = []byte(r.text())
	case opRun:
		n.Command = readCommand(r)
	case runWithRoots:
		n.Op, n.Command = opRun, readCommand(r)
		n.Command.Roots = readRoots(r)
	default:
		r.fail()
	}
	return n
}

func writeArtifact(w *writer, a source.Artifact) {
	for _, s := range [...]string{string(a.Ecosystem), a.Name, a.Version, a.File, a.Path, a.URL, a.Integrity.String()} {
		w.text(s)
	}
	w.num(uint64(a.Size))
}

func readArtifact(r *reader) source.Artifact {
	a := source.Artifact{Ecosystem: source.Ecosystem(r.text()), Name: r.text(), Version: r.text(), File: r.text(), Path: r.text(), URL: r.text()}
	if err := a.Integrity.UnmarshalText([]byte(r.text())); err != nil {
		r.fail()
	}
	a.Size = int64(r.num())
	return a
}

func writeCommand(w *writer, c *Command) {
	w.texts(c.Args)
	env := make([]string, 0, len(c.Env))
	for k, v := range c.Env {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	w.texts(env)
	w.text(c.Dir)
	w.texts(places(c.Layers))
	w.texts(c.Outputs)
	w.bool(c.AsRoot)
	w.texts([]string{c.Platform.OS, c.Platform.Arch, c.Platform.Libc})
	w.num(uint64(c.Limits.Time))
	w.num(uint64(c.Limits.Memory))
	w.num(uint64(c.Limits.Processes))
}

func readCommand(r *reader) *Command {
	c := &Command{Args: r.texts()}
	if env := r.texts(); len(env) > 0 {
		c.Env = make(map[string]string, len(env))
		for _, kv := range env {
			i := strings.IndexByte(kv, '=')
			if i < 0 {
				r.fail()
				return c
			}
			c.Env[kv[:i]] = kv[i+1:]
		}
	}
	c.Dir = r.text()
	for _, at := range r.texts() {
		c.Layers = append(c.Layers, Layer{At: at})
	}
	c.Outputs = r.texts()
	c.AsRoot = r.bool()
	if p := r.texts(); len(p) == 3 {
		c.Platform = platform.Platform{OS: p[0], Arch: p[1], Libc: p[2]}
	} else {
		r.fail()
	}
	c.Limits.Time = time.Duration(r.num())
	c.Limits.Memory = int64(r.num())
	c.Limits.Processes = int(r.num())
	return c
}

// writeRoots writes further roots, whose layers are inputs as well. The contract is in it, as the identity of a step
// stands for its key in the cache.
func writeRoots(w *writer, roots []Root) {
	w.text(action.RootsContract)
	w.num(uint64(len(roots)))
	for _, root := range roots {
		w.text(root.Name)
		w.texts(places(root.Layers))
		w.bool(root.ReadOnly)
		w.texts(root.Tmpfs)
	}
}

func readRoots(r *reader) []Root {
	r.text()
	n := r.count()
	if n == 0 {
		r.fail() // it would be no runWithRoots
	}
	roots := make([]Root, 0, min(n, 64))
	for range n {
		root := Root{Name: r.text()}
		for _, at := range r.texts() {
			root.Layers = append(root.Layers, Layer{At: at})
		}
		root.ReadOnly = r.bool()
		root.Tmpfs = r.texts()
		if r.err != nil {
			return nil
		}
		roots = append(roots, root)
	}
	return roots
}

// places is where layers are mounted.
func places(layers []Layer) []string {
	at := make([]string, len(layers))
	for i, l := range layers {
		at[i] = l.At
	}
	return at
}

// graphWriter writes a table of nodes in which inputs stand before what uses them.
type graphWriter struct {
	w     writer
	index map[*node]int
	n     int
}

// add writes n and everything that it depends on, unless the table has it, and gives its place. The graph may be deep,
// so that the walk keeps a stack of its own.
func (g *graphWriter) add(root *node) int {
	if g.index == nil {
		g.index = map[*node]int{}
	}
	type frame struct {
		n    *node
		next int
	}
	stack := []frame{{n: root}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if _, ok := g.index[top.n]; ok {
			stack = stack[:len(stack)-1]
			continue
		}
		if top.next < len(top.n.in) {
			top.next++
			stack = append(stack, frame{n: top.n.in[top.next-1]})
			continue
		}
		top.n.encode(&g.w)
		g.w.text(top.n.Label)
		if top.n.Op == opFetch {
			g.w.text(top.n.Locked.File)
			g.w.num(uint64(top.n.Locked.Line))
			g.w.text(top.n.Locked.Key)
		}
		g.w.num(uint64(len(top.n.in)))
		for _, in := range top.n.in {
			g.w.num(uint64(g.index[in]))
		}
		g.index[top.n] = g.n
		g.n++
	}
	return g.index[root]
}

// readGraph reads a table of n nodes.
func readGraph(r *reader, n int) ([]*node, error) {
	nodes := make([]*node, 0, n)
	for range n { // count has seen that n is at most the number of bytes
		nd := decodeNode(r)
		nd.Label = r.text()
		if nd.Op == opFetch {
			nd.Locked.File, nd.Locked.Line, nd.Locked.Key = r.text(), int(r.num()), r.text()
		}
		for range r.count() {
			i := r.num()
			if i >= uint64(len(nodes)) {
				r.fail()
				break
			}
			nd.in = append(nd.in, nodes[i])
		}
		if r.err != nil {
			return nil, r.err
		}
		if nd.Op == opRun {
			if err := nd.Command.joinInputs(nd.in); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, newStep(nd).n)
	}
	return nodes, nil
}

// joinInputs gives the layers that were read the steps that they are made of.
func (c *Command) joinInputs(in []*node) error {
	for _, layers := range c.layers() {
		if len(in) < len(layers) {
			return errTruncated
		}
		for i := range layers {
			layers[i].Step = Step{in[i]}
		}
		in = in[len(layers):]
	}
	if len(in) > 0 {
		return errTruncated
	}
	return nil
}
