package golang

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

// closure is what a package of the project needs: the project's own files, and everything imported from outside.
type closure struct {
	files   []string                 // of the project, relative to its root, sorted: sources and embedded files
	imports []string                 // packages of other modules and of the standard library, sorted
	from    map[string]diag.Position // where each import stands first
}

// scanner follows imports through the project's own packages. It reads single files, so that the plan runs again only
// when one of them changes; what it finds changes with the imports alone.
type scanner struct {
	ctx     context.Context
	ask     *engine.Ask
	src     engine.Static
	project *goProject
	build   build.Context
	seen    map[string]bool // directories
	files   map[string]bool
	imports map[string]diag.Position
}

// scan gives the closure of the package in directory pkg ("./cmd/server").
func scan(ctx context.Context, ask *engine.Ask, o BuildOptions, project *goProject, p platform.Platform) (closure, error) {
	s := &scanner{
		ctx: ctx, ask: ask, src: o.Source, project: project,
		build: buildContext(p, o.Env),
		seen:  map[string]bool{}, files: map[string]bool{}, imports: map[string]diag.Position{},
	}
	if err := s.dir(path.Clean(o.Package)); err != nil {
		return closure{}, err
	}
	return closure{files: slices.Sorted(maps.Keys(s.files)), imports: slices.Sorted(maps.Keys(s.imports)), from: s.imports}, nil
}

// buildContext decides which files belong to a build, as the go command would with this environment.
func buildContext(p platform.Platform, env map[string]string) build.Context {
	c := build.Context{
		GOOS: p.OS, GOARCH: p.Arch, Compiler: "gc",
		CgoEnabled: env["CGO_ENABLED"] != "0",
	}
	for _, t := range strings.Fields(env["GOFLAGS"]) {
		if tags, ok := strings.CutPrefix(strings.TrimPrefix(t, "-"), "-tags="); ok || strings.HasPrefix(t, "-tags=") {
			if !ok {
				tags = strings.TrimPrefix(t, "-tags=")
			}
			c.BuildTags = strings.Split(tags, ",")
		}
	}
	for minor := 1; minor <= maxMinor; minor++ {
		c.ReleaseTags = append(c.ReleaseTags, fmt.Sprintf("go1.%d", minor))
	}
	return c
}

// maxMinor is the newest Go line assumed to exist. A file that a newer one would leave out is merely looked at for
// imports; 20 years of releases are enough.
const maxMinor = 64

func (s *scanner) dir(dir string) error {
	if s.seen[dir] {
		return nil
	}
	s.seen[dir] = true
	entries, err := s.ask.List(s.ctx, s.src, dir)
	if errors.Is(err, tree.ErrNotExist) {
		return diag.Inputf("go-package", "there is no package `%s` in %s", dir, s.src.Label()).
			Hint("a package that a generator makes has to be in the source before Go is built")
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind == engine.Dir || !isSource(e.Name) {
			continue
		}
		p := path.Join(dir, e.Name)
		s.files[p] = true
		if strings.HasSuffix(e.Name, ".go") {
			if err := s.file(dir, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// isSource says whether the go command reads files of this name in a package's directory. Tests are not built.
func isSource(name string) bool {
	if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") {
		return false
	}
	switch path.Ext(name) {
	case ".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".s", ".S", ".sx", ".f", ".F", ".for", ".f90", ".swig", ".swigcxx", ".syso":
		return true
	}
	return false
}

func (s *scanner) file(dir, p string) error {
	b, err := s.ask.Read(s.ctx, s.src, p)
	if err != nil {
		return err
	}
	c := s.build
	c.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	match, err := c.MatchFile(dir, path.Base(p))
	if err != nil || !match {
		return nil // a file that cannot be read this far is the compiler's to complain about
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, p, b, parser.ImportsOnly|parser.ParseComments)
	if f == nil {
		return nil
	}
	embeds := false
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		embeds = embeds || name == "embed"
		at := set.Position(spec.Pos())
		if err := s.imported(name, diag.Position{File: p, Line: at.Line, Col: at.Column, Key: name}); err != nil {
			return err
		}
	}
	_ = err // as above
	if embeds {
		return s.embedded(dir, b)
	}
	return nil
}

func (s *scanner) imported(name string, at diag.Position) error {
	if name == "C" {
		name = runtimeCgo
	}
	if dir, ok := s.project.moduleDir(name); ok {
		return s.dir(dir)
	}
	if _, again := s.imports[name]; !again {
		s.imports[name] = at
	}
	return nil
}

// runtimeCgo stands for `import "C"`.
const runtimeCgo = "runtime/cgo"

// embedded adds what the file's //go:embed lines name.
func (s *scanner) embedded(dir string, text []byte) error {
	f, _ := parser.ParseFile(token.NewFileSet(), "", text, parser.ParseComments|parser.SkipObjectResolution)
	if f == nil {
		return nil
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			for _, pattern := range embedPatterns(c) {
				found, err := s.ask.Glob(s.ctx, s.src, path.Join(dir, pattern))
				if err != nil {
					return err
				}
				for _, p := range found {
					s.files[p] = true
				}
			}
		}
	}
	return nil
}

func embedPatterns(c *ast.Comment) []string {
	args, ok := strings.CutPrefix(c.Text, "//go:embed")
	if !ok || args == "" || args[0] != ' ' && args[0] != '\t' {
		return nil
	}
	var out []string
	for args = strings.TrimSpace(args); args != ""; args = strings.TrimSpace(args) {
		var one string
		if q, err := strconv.QuotedPrefix(args); err == nil {
			one, _ = strconv.Unquote(q)
			args = args[len(q):]
		} else if i := strings.IndexAny(args, " \t"); i >= 0 {
			one, args = args[:i], args[i:]
		} else {
			one, args = args, ""
		}
		out = append(out, strings.TrimPrefix(one, "all:"))
	}
	return out
}
