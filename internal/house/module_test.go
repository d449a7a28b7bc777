// Package house holds the tests that keep the house in order: which package may import which, what nobody may call,
// how large things may grow, and that the documents still speak of what exists. It has no code of its own.
package house

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "hewn.example/hewn"

var update = flag.Bool("update", false, "rewrite the generated parts of docs/")

// file is one Go file of the module, whatever its build constraints.
type file struct {
	name    string // relative to the module, with slashes
	test    bool
	lines   int
	ast     *ast.File
	imports []string
}

// pkg is one directory with Go files. Tests of package x_test count as the directory's own.
type pkg struct {
	dir   string // relative to the module: "internal/store/disk"
	files []*file
}

// name is how the tables call a package: "store/disk" for internal/store/disk, the whole directory for others.
func (p *pkg) name() string { return roomName(p.dir) }

func roomName(dir string) string { return strings.TrimPrefix(dir, "internal/") }

// onlyTests says that nothing of the package gets into a program.
func (p *pkg) onlyTests() bool {
	return !slices.ContainsFunc(p.files, func(f *file) bool { return !f.test })
}

// module is the whole of what is checked.
type module struct {
	root string
	fset *token.FileSet
	pkgs map[string]*pkg // by directory
}

// sorted gives the packages in the order of their directories.
func (m *module) sorted() []*pkg {
	var out []*pkg
	for _, d := range slices.Sorted(maps.Keys(m.pkgs)) {
		out = append(out, m.pkgs[d])
	}
	return out
}

func (m *module) line(p token.Pos) int { return m.fset.Position(p).Line }

// at is a place in a file as a person or an editor reads it.
func (m *module) at(f *file, p token.Pos) string { return fmt.Sprintf("%s:%d", f.name, m.line(p)) }

var loaded = sync.OnceValues(parseModule)

// load gives the parsed module; it is parsed once for all tests.
func load(t *testing.T) *module {
	t.Helper()
	m, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parseModule reads all Go files. It parses instead of asking the go command, so that files for other systems are
// checked too and a package that does not compile at the moment breaks no other test.
func parseModule() (*module, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	m := &module{root: root, fset: token.NewFileSet(), pkgs: map[string]*pkg{}}
	err = walk(root, func(rel string) error {
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := m.parse(rel)
		if err != nil {
			return err
		}
		dir := path.Dir(rel)
		if m.pkgs[dir] == nil {
			m.pkgs[dir] = &pkg{dir: dir}
		}
		m.pkgs[dir].files = append(m.pkgs[dir].files, f)
		return nil
	})
	return m, err
}

// walk visits the module's own files: not other modules below it, test data, or what is hidden.
func walk(root string, visit func(rel string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		if !d.IsDir() {
			if !d.Type().IsRegular() {
				return nil
			}
			return visit(filepath.ToSlash(rel))
		}
		if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil || d.Name() == "testdata" || d.Name() == "node_modules" ||
			strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return fs.SkipDir
		}
		return nil
	})
}

func (m *module) parse(rel string) (*file, error) {
	tree, err := parser.ParseFile(m.fset, filepath.Join(m.root, rel), nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{name: rel, test: strings.HasSuffix(rel, "_test.go"), ast: tree, lines: m.line(tree.FileEnd)}
	for _, i := range tree.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, p)
	}
	return f, nil
}

// within says that a package is named by one of the entries: the package itself, or any below it.
func within(name string, entries ...string) bool {
	return slices.ContainsFunc(entries, func(e string) bool { return name == e || strings.HasPrefix(name, e+"/") })
}
