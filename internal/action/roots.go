package action

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/tree"
)

// RootsContract is the version of what an action with further roots finds besides Contract: how they are mounted, what
// runs in them and how the driver asks for it. It is part of the key of such actions only.
// docs/adr/0012-further-roots.md says what each version promises.
const RootsContract = "1"

// ControlDir is the directory of the driver's root in which an action with further roots finds the socket ControlSocket.
const ControlDir = "/run/hewn"

// ControlSocket is the path of the socket through which a driver starts processes in further roots.
const ControlSocket = ControlDir + "/control.sock"

// Root is a further root of an action: a tree that serves as / for processes which the action's command, its driver,
// starts there through ControlSocket. Every root has a /tmp and a /dev/shm of its own in memory.
type Root struct {
	Name     string    // [a-z][a-z0-9-]*, unique in an action
	Tree     tree.Tree // the merged input root
	ReadOnly bool      // nothing can be written but to Tmpfs, /tmp and /dev/shm; else a copy of its own is written to
	Tmpfs    []string  // absolute clean paths that get an empty file system in memory, sorted
}

// checkRoots sorts further roots by name and refuses those that mean nothing.
func checkRoots(given []Root) ([]Root, error) {
	if len(given) == 0 {
		return nil, nil
	}
	roots := slices.Clone(given)
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Name, b.Name) })
	for i := range roots {
		r := &roots[i]
		if !isRootName(r.Name) {
			return nil, fmt.Errorf("action: %q is no name for a further root: lower-case letters, digits and hyphens, a letter first", r.Name)
		}
		if i > 0 && r.Name == roots[i-1].Name {
			return nil, fmt.Errorf("action: two further roots are called %q", r.Name)
		}
		var err error
		if r.Tmpfs, err = sortTmpfs(r); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

func sortTmpfs(r *Root) ([]string, error) {
	if len(r.Tmpfs) == 0 {
		return nil, nil
	}
	paths := slices.Clone(r.Tmpfs)
	slices.Sort(paths)
	for i, p := range paths {
		switch {
		case !strings.HasPrefix(p, "/") || p == "/" || path.Clean(p) != p || strings.ContainsRune(p, 0):
			return nil, fmt.Errorf("action: further root %q: tmpfs %q is not an absolute clean path below /", r.Name, p)
		case within(p, "/proc") || within(p, "/dev"):
			return nil, fmt.Errorf("action: further root %q: tmpfs %q lies where the sandbox has mounts of its own", r.Name, p)
		case i > 0 && p == paths[i-1]:
			return nil, fmt.Errorf("action: further root %q: tmpfs %q is there twice", r.Name, p)
		}
	}
	return paths, nil
}

// within says that p is dir or lies below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func isRootName(s string) bool {
	for i, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// property is the value of the platform property that stands for r: name, tree, and what else was asked for.
func (r *Root) property() string {
	b := append([]byte(r.Name+" "+r.Tree.String()), " writable"...)
	if r.ReadOnly {
		b = append(b[:len(b)-len("writable")], "read-only"...)
	}
	for _, p := range r.Tmpfs {
		b = strconv.AppendQuote(append(b, ' '), p)
	}
	return string(b)
}

// dumpRoots writes the lines of Dump that only actions with further roots have.
func (a Action) dumpRoots(b *strings.Builder) {
	if len(a.Roots) == 0 {
		return
	}
	fmt.Fprintf(b, "further-roots contract=%s\n", RootsContract)
	for _, r := range a.Roots {
		fmt.Fprintf(b, "further-root %s %s\nfurther-root %s read-only %v\n", r.Name, r.Tree, r.Name, r.ReadOnly)
		for _, p := range r.Tmpfs {
			fmt.Fprintf(b, "further-root %s tmpfs %q\n", r.Name, p)
		}
	}
}
