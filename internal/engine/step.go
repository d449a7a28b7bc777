// Package engine evaluates steps and plans: it alone owns the way key -> cache -> run.
//
// A Step is a promise of a tree. Steps are immutable descriptions, so they can be written into a trace and read back
// by another process; a step that runs code names it (a command, or a NativeDef by name and version). The engine knows
// no ecosystem.
//
// Two types keep fetching apart from running: a Static step depends on sources, pins, artifacts and native steps only,
// never on the output of an action, and only Static steps can be asked about (Ask) or downloaded from. That is what
// makes `hewn fetch`, then `hewn build --offline`, complete.
package engine

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// Step is a promise of a tree. The zero Step promises nothing and must not be used.
type Step struct{ n *node }

// Static is a Step that depends on no action.
type Static struct{ Step }

// IsZero says that s was never made by a constructor.
func (s Step) IsZero() bool { return s.n == nil }

// ID is the structural identity of the description: equal descriptions have equal IDs. It is no cache key.
func (s Step) ID() digest.Digest { return s.n.id }

// Label is what people call the step.
func (s Step) Label() string { return s.n.Label }

// Static gives s as a Static step; ok is false if s depends on the output of an action or on a target.
func (s Step) Static() (st Static, ok bool) { return Static{s}, s.n != nil && s.n.static }

// mustNode is the description of s. That s was never made is a mistake in the code of whoever builds the step called label.
func (s Step) mustNode(label string) *node {
	if s.n == nil {
		panic("engine: step " + label + " has an input that was never made")
	}
	return s.n
}

// op says what a node does. The values are those of the encoding.
type op byte

const (
	opTree   op = 't' // a tree that is known already
	opSource op = 's' // a source of the recipe, by name
	opFetch  op = 'f' // an artifact, as a tree of one file
	opGit    op = 'g' // the tree of a commit
	opNative op = 'n' // a NativeDef over inputs
	opRun    op = 'r' // an action over layers
	opTarget op = 'T' // a target of the recipe, by name: its plan is run
)

// node is the immutable description behind a Step.
type node struct {
	Op       op
	Label    string // not part of the identity
	Tree     tree.Tree
	Name     string // of the source, the target or the native step
	Artifact source.Artifact
	Locked   diag.Position // of the artifact, in the lock that names it; not part of the identity
	Git      source.GitRef
	Params   []byte // canonical JSON
	Command  *Command
	in       []*node
	static   bool    // depends on no action
	targets  bool    // refers to targets
	sources  []*node // the sources that it refers to, without those of targets, by name
	id       digest.Digest
}

// NativeDef is a native step's code. Version rises whenever the output for some input changes.
type NativeDef struct {
	Name    string // "wheel-install"
	Version int
	Run     NativeFunc
}

// String is `name/vN`.
func (d NativeDef) String() string { return fmt.Sprintf("%s/v%d", d.Name, d.Version) }

// Tree is the step whose result is t.
func Tree(t tree.Tree) Static {
	return Static{newStep(&node{Op: opTree, Tree: t, Label: "tree " + t.Digest().Short()})}
}

// Source is the content of a source of the recipe, whatever it is when the step is evaluated.
func Source(name string) Static {
	return Static{newStep(&node{Op: opSource, Name: name, Label: "source " + name})}
}

// Fetch is an artifact: a tree of one file, which has the artifact's file name.
func Fetch(a source.Artifact) Static {
	return Static{newStep(&node{Op: opFetch, Artifact: a, Label: "fetch " + a.String()})}
}

// FetchLocked is Fetch of an artifact that stands in a lock. Where it cannot be had, or is not what the lock says, the
// error is at that place.
func FetchLocked(a source.Artifact, at diag.Position) Static {
	s := Fetch(a)
	s.n.Locked = at
	return s
}

// File names a file of s for people: by its source and its place there, else by what made s.
func (s Static) File(name string) string {
	name = path.Clean("/" + name)
	n := s.n
	for n.Op == opNative && len(n.in) == 1 {
		var p algebraParams
		if err := json.Unmarshal(n.Params, &p); err != nil {
			break
		}
		if n.Name == "sub/v1" && len(p.Paths) == 1 {
			name = path.Join("/", p.Paths[0], name)
		} else if n.Name != "select/v1" && n.Name != "remove/v1" {
			break
		}
		n = n.in[0]
	}
	if n.Op == opSource {
		return n.Name + name
	}
	return s.Label() + name
}

// Git is the tree of a commit; ref.Commit must be set.
func Git(ref source.GitRef) Static {
	return Static{newStep(&node{Op: opGit, Git: ref, Label: "git " + ref.Repo})}
}

// Target is the result of another target of the recipe.
func Target(name string) Step {
	return newStep(&node{Op: opTarget, Name: name, Label: "target " + name})
}

// Native is def applied to params (anything that encoding/json writes deterministically; no maps with other than
// string keys) and the trees of inputs. Where an input is a Fetch, the step's key holds the artifact's integrity
// instead of its tree, so that a cached result needs no download.
func Native(label string, def NativeDef, params any, inputs ...Step) Step {
	raw, err := json.Marshal(params)
	if err != nil {
		panic("engine: parameters of native step " + def.String() + " cannot be encoded: " + err.Error())
	}
	n := &node{Op: opNative, Name: def.String(), Label: label, Params: raw}
	for _, s := range inputs {
		n.in = append(n.in, s.mustNode(label))
	}
	return newStep(n)
}

// NativeStatic is Native where all inputs are Static.
func NativeStatic(label string, def NativeDef, params any, inputs ...Static) Static {
	in := make([]Step, len(inputs))
	for i, s := range inputs {
		in[i] = s.Step
	}
	return Static{Native(label, def, params, in...)}
}

// Layer mounts the result of a step at a place in an action's root.
type Layer struct {
	Step Step
	At   string // absolute clean path
}

// Command describes an action to run.
type Command struct {
	Args     []string
	Env      map[string]string // over action.BaseEnv
	Dir      string
	Layers   []Layer  // merged: files that two layers both have must be equal
	Outputs  []string // absolute; the result holds them at these paths
	AsRoot   bool
	Platform platform.Platform // zero: the engine's
	Limits   executor.Limits   // not part of the key
	Roots    []Root            // further roots, in which the command may start processes
}

// Root is a further root of an action. docs/adr/0012-further-roots.md says how a command starts processes there.
type Root struct {
	Name     string   // [a-z][a-z0-9-]*
	Layers   []Layer  // merged like those of the command
	ReadOnly bool     // nothing can be written but to Tmpfs, /tmp and /dev/shm
	Tmpfs    []string // absolute clean paths that get an empty file system in memory
}

// Run is a command in the sandbox.
func Run(label string, c Command) Step {
	n := &node{Op: opRun, Label: label, Command: &c}
	for _, layers := range c.layers() {
		for _, l := range layers {
			if !strings.HasPrefix(l.At, "/") || path.Clean(l.At) != l.At {
				panic("engine: layer of " + label + " at " + l.At + ", which is not an absolute clean path")
			}
			n.in = append(n.in, l.Step.mustNode(label))
		}
	}
	return newStep(n)
}

// layers are those of the command and of each of its further roots: together, in this order, the inputs of the step.
func (c *Command) layers() [][]Layer {
	all := [][]Layer{c.Layers}
	for _, r := range c.Roots {
		all = append(all, r.Layers)
	}
	return all
}

// The tree algebra as steps. They stay Static over Static inputs.

// Part is a step's tree and where it goes in a Merge.
type Part struct {
	Step Step
	At   string // absolute clean path; "/" is the root of the result
}

// Merge puts parts together. Two parts may both have a directory, or the same file with the same content; anything
// else is an error that names both.
func Merge(label string, parts ...Part) Step { return algebra(label, "merge/v1", nil, parts) }

// MergeOver is Merge, but for paths of the result that one of patterns (see Remove) matches: there the later part's entry
// stands.
func MergeOver(label string, patterns []string, parts ...Part) Step {
	if len(patterns) == 0 {
		return Merge(label, parts...)
	}
	patterns = append([]string(nil), patterns...)
	sort.Strings(patterns)
	return algebra(label, "merge-over/v1", patterns, parts)
}

// Overlay puts parts together; where two have the same path, the later one's entry stands.
func Overlay(label string, parts ...Part) Step { return algebra(label, "overlay/v1", nil, parts) }

// Sub is the directory at p in s's tree; it is an error if there is none.
func Sub(s Step, p string) Step {
	return algebra(s.Label()+" "+p, "sub/v1", []string{p}, []Part{{s, "/"}})
}

// Select keeps the given paths (files or directories) of s's tree at their places. Every path must exist, but for
// those that end in "?".
func Select(s Step, paths ...string) Step {
	paths = append([]string(nil), paths...)
	sort.Strings(paths)
	return algebra(s.Label(), "select/v1", paths, []Part{{s, "/"}})
}

// Remove leaves the given paths out; what does not exist is no error. A pattern may use `*`, `?`, `[...]` within a name
// and `**` for any number of directories.
func Remove(s Step, patterns ...string) Step {
	patterns = append([]string(nil), patterns...)
	sort.Strings(patterns)
	return algebra(s.Label(), "remove/v1", patterns, []Part{{s, "/"}})
}

// Place puts s's tree at a path below the root.
func Place(s Step, at string) Step {
	return algebra(s.Label()+" at "+at, "merge/v1", nil, []Part{{s, at}})
}

type algebraParams struct {
	At    []string `json:"at,omitempty"`
	Paths []string `json:"paths,omitempty"`
}

func algebra(label, name string, paths []string, parts []Part) Step {
	p := algebraParams{Paths: paths}
	n := &node{Op: opNative, Name: name, Label: label}
	for _, part := range parts {
		p.At = append(p.At, path.Clean("/"+part.At))
		n.in = append(n.in, part.Step.mustNode(label))
	}
	n.Params, _ = json.Marshal(p) // strings only: cannot fail
	return newStep(n)
}

// joinSources is a and b, sorted by name and each once. Nearly all steps of a recipe refer to the same one or two
// sources, so that one of the two mostly serves as it is.
func joinSources(a, b []*node) []*node {
	if len(b) == 0 || len(a) == len(b) && &a[0] == &b[0] {
		return a
	}
	if len(a) == 0 {
		return b
	}
	byName := func(a, b *node) int { return strings.Compare(a.Name, b.Name) }
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, byName)
	all = slices.CompactFunc(all, func(a, b *node) bool { return a.Name == b.Name })
	if len(all) == len(a) {
		return a
	}
	return all
}

// fixed says that n's result follows from its description alone.
func (n *node) fixed() bool { return !n.targets && len(n.sources) == 0 }

// newStep gives n its identity: a hash over its encoding without the label, and the identities of its inputs.
func newStep(n *node) Step {
	n.static, n.targets = n.Op != opRun && n.Op != opTarget, n.Op == opTarget
	if n.Op == opSource {
		n.sources = []*node{n}
	}
	var buf [512]byte
	w := writer{buf[:0]}
	n.encode(&w)
	for _, in := range n.in {
		n.static = n.static && in.static
		n.targets = n.targets || in.targets
		n.sources = joinSources(n.sources, in.sources)
		h := in.id.Hash()
		w.b = append(w.b, h[:]...)
	}
	n.id = digest.Of(w.b)
	return Step{n}
}
