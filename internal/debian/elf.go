package debian

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// elfCheck looks at every ELF file of a root and fails if one of them would not find its interpreter or a library.
// Its tree holds `report.txt`: how many files were looked at.
var elfCheck = engine.NativeDef{Name: "elf-check", Version: 1, Run: runElfCheck}

// ElfOptions says which files of a root are looked at.
type ElfOptions struct {
	Below  []string `json:"below,omitempty"`  // directories; all of the root if there are none
	Ignore []string `json:"ignore,omitempty"` // path.Match patterns of file names whose needs don't count: optional plugins
}

// ElfCheck is a step that fails if an ELF file of root would not find its interpreter or one of its libraries in root.
func ElfCheck(root engine.Step, o ElfOptions) engine.Step {
	return engine.Native("libraries of "+root.Label(), elfCheck, o, root)
}

func runElfCheck(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p ElfOptions
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	r, err := CheckElf(ctx, c.Store, c.Inputs[0], p)
	if err != nil {
		return tree.Tree{}, err
	}
	if len(r.Missing) > 0 {
		prob := diag.Failf("elf-missing", "%d of %d ELF files do not find all that they need", r.files(), r.Checked)
		for _, m := range r.Missing {
			prob.With(m.String())
		}
		return tree.Tree{}, prob.Hint("add the Debian packages that have these libraries to the root")
	}
	d, err := c.Store.Put(ctx, fmt.Appendf(nil, "%d ELF files find all their libraries\n", r.Checked))
	if err != nil {
		return tree.Tree{}, err
	}
	return c.Store.PutDirectory(ctx, &tree.Directory{Files: []tree.File{{Name: "report.txt", Digest: d}}})
}

// ElfReport is what CheckElf found.
type ElfReport struct {
	Checked int // dynamic ELF files
	Missing []ElfMissing
}

func (r *ElfReport) files() int {
	seen := map[string]bool{}
	for _, m := range r.Missing {
		seen[m.File] = true
	}
	return len(seen)
}

// ElfMissing is a library or interpreter that a file needs and the root does not have.
type ElfMissing struct{ File, Needs string }

// String is a line for people.
func (m ElfMissing) String() string { return "/" + m.File + " needs " + m.Needs }

// elfFile is what one ELF file says about itself.
type elfFile struct {
	path    string
	interp  string
	needed  []string
	rpath   []string // DT_RPATH: also searched for the needs of what the file loads; not followed that far here
	runpath []string
	class   elf.Class
}

type elfChecker struct {
	v    view
	dirs []string // that the dynamic linker searches by itself
	// homes gives the directories that hold a file of some name.
	homes map[string][]string
}

// CheckElf finds what the dynamic ELF files of a root would not find. Like the dynamic linker it looks at RPATH,
// RUNPATH, $ORIGIN, ld.so.conf and the default directories. A library that lies in the file's own directory or below
// it counts as there too: programs with plugins load it before them (Java's libjvm.so). Only files that are
// executable, or whose name says library or native module, are opened.
func CheckElf(ctx context.Context, st store.Store, root tree.Tree, o ElfOptions) (*ElfReport, error) {
	c := &elfChecker{v: view{st, root}, homes: map[string][]string{}}
	if err := c.defaults(ctx); err != nil {
		return nil, err
	}
	files, err := c.files(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &ElfReport{Checked: len(files)}
	for _, f := range files {
		missing, err := c.check(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, m := range missing {
			r.Missing = append(r.Missing, ElfMissing{f.path, m})
		}
	}
	return r, nil
}

// candidate says whether a file can be an ELF file that somebody loads.
func candidate(e tree.Entry) bool {
	if e.Kind != tree.KindFile || e.Digest.Size() < 64 || strings.HasSuffix(e.Name, ".o") || strings.HasSuffix(e.Name, ".a") {
		return false
	}
	return e.Executable || strings.Contains(e.Name, ".so") || strings.HasSuffix(e.Name, ".node")
}

// files reads all ELF files, each content once, several at a time; the order is that of paths.
func (c *elfChecker) files(ctx context.Context, o ElfOptions) ([]*elfFile, error) {
	var paths []string
	var digests []digest.Digest
	err := tree.Walk(ctx, c.v.st, c.v.t, func(p string, e tree.Entry) error {
		p = strings.TrimPrefix(p, "/")
		if !candidate(e) {
			return nil
		}
		c.homes[e.Name] = append(c.homes[e.Name], path.Dir(p))
		if ignored, err := o.ignores(e.Name); err != nil || ignored || !within(p, o.Below) {
			return err
		}
		paths, digests = append(paths, p), append(digests, e.Digest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found := make([]*elfFile, len(paths))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range paths {
		g.Go(func() (err error) {
			found[i], err = readElf(gctx, c.v.st, paths[i], digests[i])
			return err
		})
	}
	err = g.Wait()
	return slices.DeleteFunc(found, func(f *elfFile) bool { return f == nil }), err
}

func (o ElfOptions) ignores(name string) (bool, error) {
	for _, pattern := range o.Ignore {
		if ok, err := path.Match(pattern, name); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func within(p string, below []string) bool {
	if len(below) == 0 {
		return true
	}
	for _, dir := range below {
		if dir = strings.Trim(dir, "/"); dir == "" || p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// readElf reads the dynamic section of a file; nil where it is no ELF file or has none (static, debug symbols).
func readElf(ctx context.Context, st store.Store, p string, d digest.Digest) (*elfFile, error) {
	r, err := st.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	_, err = io.ReadFull(r, head)
	_ = r.Close()
	if err != nil || !bytes.Equal(head, []byte(elf.ELFMAG)) {
		return nil, err
	}
	ra, _, done, err := archive.OpenBlob(ctx, st, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = done() }()
	f, err := elf.NewFile(ra)
	if err != nil {
		return nil, nil //nolint:nilerr // something that begins like an ELF file and is none: test data
	}
	return dynamic(p, f), nil
}

func dynamic(p string, f *elf.File) *elfFile {
	out := &elfFile{path: p, class: f.Class}
	for _, ph := range f.Progs {
		if ph.Type == elf.PT_INTERP && ph.Filesz < 4096 {
			b := make([]byte, ph.Filesz)
			if _, err := ph.ReadAt(b, 0); err == nil {
				out.interp = strings.TrimRight(string(b), "\x00")
			}
		}
	}
	var err error
	if out.needed, err = f.DynString(elf.DT_NEEDED); err != nil {
		return nil
	}
	lists := func(tag elf.DynTag) (dirs []string) {
		values, _ := f.DynString(tag)
		for _, v := range values {
			dirs = append(dirs, strings.Split(v, ":")...)
		}
		return dirs
	}
	out.rpath, out.runpath = lists(elf.DT_RPATH), lists(elf.DT_RUNPATH)
	if out.interp == "" && len(out.needed) == 0 {
		return nil
	}
	return out
}

// defaults reads ld.so.conf as ldconfig would and adds what the linker knows by itself.
func (c *elfChecker) defaults(ctx context.Context) error {
	if err := c.conf(ctx, "etc/ld.so.conf", 0); err != nil {
		return err
	}
	d, err := c.v.dir(ctx, "usr/lib")
	if err != nil {
		return err
	}
	if d != nil {
		for _, s := range d.Dirs {
			if strings.Contains(s.Name, "-linux-") {
				c.dirs = append(c.dirs, "usr/lib/"+s.Name)
			}
		}
	}
	c.dirs = append(c.dirs, "lib64", "usr/lib64", "lib", "usr/lib")
	return nil
}

func (c *elfChecker) conf(ctx context.Context, p string, depth int) error {
	b, err := c.v.read(ctx, p)
	if err != nil || depth > 4 {
		return err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "include":
			pattern := fields[1]
			if !strings.HasPrefix(pattern, "/") {
				pattern = path.Join("/", path.Dir(p), pattern)
			}
			included, err := tree.Glob(ctx, c.v.st, c.v.t, strings.TrimPrefix(pattern, "/"))
			if err != nil {
				return err
			}
			for _, i := range included {
				if err := c.conf(ctx, strings.TrimPrefix(i, "/"), depth+1); err != nil {
					return err
				}
			}
		case len(fields) == 1 && strings.HasPrefix(fields[0], "/"):
			c.dirs = append(c.dirs, strings.TrimPrefix(path.Clean(fields[0]), "/"))
		}
	}
	return nil
}

// check gives what f needs and would not find.
func (c *elfChecker) check(ctx context.Context, f *elfFile) ([]string, error) {
	var missing []string
	if f.interp != "" {
		ok, err := c.v.leads(ctx, strings.TrimPrefix(f.interp, "/"))
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, "the interpreter "+f.interp)
		}
	}
	for _, lib := range f.needed {
		ok, err := c.finds(ctx, f, lib)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, lib)
		}
	}
	return missing, nil
}

func (c *elfChecker) finds(ctx context.Context, f *elfFile, lib string) (bool, error) {
	if strings.Contains(lib, "/") {
		return c.v.leads(ctx, strings.TrimPrefix(lib, "/"))
	}
	own := f.runpath
	if len(own) == 0 {
		own = f.rpath
	}
	var dirs []string
	for _, dir := range own {
		if dir = expand(dir, f); dir != "" {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range append(dirs, c.dirs...) {
		// Whether it is for the same machine is not looked at: hewn makes no roots with two architectures.
		ok, err := c.v.leads(ctx, path.Join(dir, lib))
		if ok || err != nil {
			return ok, err
		}
	}
	return slices.ContainsFunc(c.homes[lib], func(dir string) bool { return within(dir, []string{path.Dir(f.path)}) }), nil
}

// expand gives a search directory relative to the root, with the linker's own variables; "" where it has others.
func expand(dir string, f *elfFile) string {
	lib := "lib"
	if f.class == elf.ELFCLASS64 {
		lib = "lib64"
	}
	r := strings.NewReplacer("$ORIGIN", "/"+path.Dir(f.path), "${ORIGIN}", "/"+path.Dir(f.path), "$LIB", lib, "${LIB}", lib)
	dir = r.Replace(dir)
	if !strings.HasPrefix(dir, "/") || strings.Contains(dir, "$") {
		return ""
	}
	return strings.TrimPrefix(path.Clean(dir), "/")
}
