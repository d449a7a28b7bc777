package house

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ban is something that only some rooms may use. Tests are free.
type ban struct {
	names   []string // "os.Exit": package and name; "os/exec": a whole package
	only    []string // rooms that may; empty: nobody
	except  []string // rooms in which it is banned; empty: all but `only`
	files   []string // files that may, whatever their room
	instead string
}

var bans = []ban{
	{names: []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "syscall.Getenv", "syscall.Environ", "os.UserHomeDir", "os.UserCacheDir", "os.UserConfigDir"},
		only: []string{"cli", "cmd"}, instead: "take settled options as arguments"},
	{names: []string{"fmt.Print", "fmt.Printf", "fmt.Println", "os.Stdout", "os.Stderr", "os.Stdin"},
		only: []string{"ui", "cli", "cmd"}, instead: "send an event, return a problem, or take a writer"},
	{names: []string{"os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "syscall.Exit"},
		only: []string{"cli", "cmd", "executor/sandbox"}, instead: "return an error"},
	{names: []string{"log.Print", "log.Printf", "log.Println", "log/slog"}, instead: "send an event"},
	{names: []string{"os/exec", "os.StartProcess", "syscall.ForkExec", "syscall.StartProcess", "syscall.Exec"},
		only: []string{"executor/sandbox", "fetch/git", "cli"}, instead: "make it an action, or take a runner as an argument"},
	{names: []string{"context.Background", "context.TODO", "context.WithCancel", "context.WithTimeout", "context.WithDeadline"},
		only: []string{"cli", "cmd"}, instead: "use the context that you are given, and the variants that carry a cause"},
	{names: []string{"time.Now", "time.Since", "math/rand", "math/rand/v2", "crypto/rand"},
		except: []string{"spec", "action", "tree", "lock", "image", "digest", "source", "pins", "recipe"}, instead: "take it as an argument: nothing here may depend on when it runs"},
	{names: []string{"path/filepath"}, except: []string{"spec", "action", "lock", "archive", "tree", "engine"},
		files: []string{"internal/tree/checkout.go", "internal/tree/collect.go"}, instead: "use path: stored paths have slashes on every system"},
	{names: []string{"unsafe"}, only: []string{"executor/sandbox", "store/disk"}, instead: "find a way without"},
}

// forbidden says that a package may not use what b bans.
func (b ban) forbidden(name string, f *file) bool {
	switch {
	case slices.Contains(b.files, f.name):
		return false
	case len(b.except) > 0:
		return within(name, b.except...)
	}
	return !within(name, b.only...)
}

func TestBans(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		if within(p.name(), outside...) || within(p.name(), standalone...) {
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			used := uses(f)
			for _, b := range bans {
				if !b.forbidden(p.name(), f) {
					continue
				}
				for _, u := range used {
					if slices.Contains(b.names, u.name) {
						t.Errorf("%s: %s is banned here: %s", m.at(f, u.pos), u.name, b.instead)
					}
				}
			}
		}
	}
}

type use struct {
	name string
	pos  token.Pos
}

// uses gives the packages that f imports and the names that it takes from them. Names that shadow an import are told
// apart as far as the parser resolves them.
func uses(f *file) []use {
	var out []use
	local := map[string]string{}
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		} else if strings.HasPrefix(name, "v") && strings.Contains(p, "/") {
			if _, err := strconv.Atoi(name[1:]); err == nil {
				name = path.Base(path.Dir(p))
			}
		}
		local[name] = p
		out = append(out, use{p, i.Pos()})
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || x.Obj != nil { // Obj: a variable of the file that has the package's name
			return true
		}
		if p, ok := local[x.Name]; ok {
			out = append(out, use{p + "." + sel.Sel.Name, sel.Pos()})
		}
		return true
	})
	return out
}

func TestNoInit(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.test {
					t.Errorf("%s: init(): wire it in internal/cli", m.at(f, fn.Pos()))
				}
			}
		}
	}
}

// TestNoChangingGlobals finds package-level variables that some function of the package assigns to.
func TestNoChangingGlobals(t *testing.T) {
	m := load(t)
	for _, p := range m.sorted() {
		if within(p.name(), outside...) || within(p.name(), standalone...) {
			continue
		}
		globals := map[string]bool{}
		for _, f := range p.files {
			if !f.test {
				collectGlobals(f, globals)
			}
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, u := range assignments(f, globals) {
				t.Errorf("%s: assigns to the package-level variable %s: keep it in a value that somebody owns", m.at(f, u.pos), u.name)
			}
		}
	}
}

func collectGlobals(f *file, into map[string]bool) {
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				into[n.Name] = n.Name != "_"
			}
		}
	}
}

// assignments gives the places in functions of f at which a global is set, or an element or field of one.
func assignments(f *file, globals map[string]bool) []use {
	var out []use
	target := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.SelectorExpr:
				e = x.X
				continue
			case *ast.StarExpr:
				e = x.X
				continue
			case *ast.ParenExpr:
				e = x.X
				continue
			case *ast.Ident:
				// Resolved within the file, it must be the file's own package-level declaration; unresolved, it is declared
				// in another file of the package.
				if globals[x.Name] && (x.Obj == nil || f.ast.Scope.Lookup(x.Name) == x.Obj) {
					out = append(out, use{x.Name, x.Pos()})
				}
			}
			return
		}
	}
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, l := range n.Lhs {
						target(l)
					}
				}
			case *ast.IncDecStmt:
				target(n.X)
			}
			return true
		})
	}
	return out
}
