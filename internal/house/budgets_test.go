package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// The budgets of DESIGN section 3: over the first number a test warns, over the second it fails.
const (
	fileWarn, fileMost    = 400, 600
	funcWarn, funcMost    = 50, 80
	paramsMost            = 5
	methodsMost           = 5
	dependenciesMost      = 25
	fileWarnTest          = 600 // a table of cases may be long
	architectureLinesMost = 130 // two printed pages
)

func TestFileSizes(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		for _, f := range p.files {
			switch {
			case f.lines > fileMost:
				t.Errorf("%s has %d lines, at most %d: split it by what it speaks of", f.name, f.lines, fileMost)
			case f.lines > fileWarn && !f.test:
				t.Logf("warning: %s has %d lines, better under %d", f.name, f.lines, fileWarn)
			}
		}
	}
}

func TestFunctionSizes(t *testing.T) {
	m := load(t)
	eachFunc(m, func(p *pkg, f *file, fn *ast.FuncDecl) {
		n := m.line(fn.End()) - m.line(fn.Pos()) + 1
		switch {
		case n > funcMost && !f.test:
			t.Errorf("%s: %s has %d lines, at most %d", m.at(f, fn.Pos()), fn.Name.Name, n, funcMost)
		case n > funcWarn && !f.test, n > 2*funcMost:
			t.Logf("warning: %s: %s has %d lines, better under %d", m.at(f, fn.Pos()), fn.Name.Name, n, funcWarn)
		}
		if n := params(fn.Type); n > paramsMost {
			t.Logf("warning: %s: %s has %d parameters, better at most %d: use a struct", m.at(f, fn.Pos()), fn.Name.Name, n, paramsMost)
		}
	})
}

func eachFunc(m *module, visit func(*pkg, *file, *ast.FuncDecl)) {
	for _, p := range m.sorted() {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					visit(p, f, fn)
				}
			}
		}
	}
}

func params(f *ast.FuncType) int {
	n := 0
	for _, field := range f.Params.List {
		n += max(1, len(field.Names))
	}
	return n
}

func TestInterfaceSizes(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		for _, f := range p.files {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				s, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if i, ok := s.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > methodsMost {
					t.Logf("warning: %s: interface %s has %d methods, better at most %d", m.at(f, s.Pos()), s.Name.Name, i.Methods.NumFields(), methodsMost)
				}
				return true
			})
		}
	}
}

// TestDocs wants a comment on every package and every exported name, and that it says more than the name.
func TestDocs(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		if !p.onlyTests() && !slices.ContainsFunc(p.files, func(f *file) bool { return !f.test && f.ast.Doc != nil }) {
			t.Errorf("%s: no package comment: say what it is for, what it is not for, and from how many goroutines it may be used", p.dir)
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, miss := range undocumented(f.ast) {
				t.Errorf("%s: %s %s", m.at(f, miss.pos), miss.name, "has no doc comment")
			}
			if f.ast.Name.Name != p.files[0].ast.Name.Name && !strings.HasSuffix(p.files[0].ast.Name.Name, "_test") {
				t.Errorf("%s is of package %s, others of the directory are of %s", f.name, f.ast.Name.Name, p.files[0].ast.Name.Name)
			}
		}
	}
}

// undocumented gives the exported names of f that have no comment. In a group of constants or variables the group's
// comment, or one on the line, is enough.
func undocumented(f *ast.File) []use {
	var out []use
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				recv := receiver(d.Recv.List[0].Type)
				if !ast.IsExported(recv) {
					continue
				}
				name = recv + "." + name
			}
			if d.Name.IsExported() && empty(d.Doc) {
				out = append(out, use{name, d.Pos()})
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && empty(s.Doc) && empty(d.Doc) {
						out = append(out, use{s.Name.Name, s.Pos()})
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() && empty(s.Doc) && empty(s.Comment) && empty(d.Doc) {
							out = append(out, use{n.Name, n.Pos()})
						}
					}
				}
			}
		}
	}
	return out
}

func empty(c *ast.CommentGroup) bool { return c == nil || strings.TrimSpace(c.Text()) == "" }

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return fmt.Sprintf("%T", e)
}
