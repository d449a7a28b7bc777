package house

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/mod/modfile"
)

func read(t *testing.T, m *module, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	architecture = "docs/ARCHITECTURE.md"
	dependencies = "docs/DEPENDENCIES.md"
	tableBegin   = "<!-- begin: floors; written by `go test ./internal/house -update` -->\n"
	tableEnd     = "<!-- end: floors -->\n"
)

// floors is the table of ARCHITECTURE.md, the highest floor first, as a reader goes down. Rooms that DESIGN names and
// nobody has moved into stand apart.
func floors(m *module) string {
	var b strings.Builder
	b.WriteString("| floor | packages | what lives there |\n|---|---|---|\n")
	var empty []string
	for i := len(levels) - 1; i >= 0; i-- {
		var here []string
		for _, r := range levels[i].rooms {
			if m.inhabited(r.name) {
				here = append(here, "`"+r.name+"`")
			} else {
				empty = append(empty, r.name)
			}
		}
		if len(here) > 0 {
			fmt.Fprintf(&b, "| %d | %s | %s |\n", i, strings.Join(here, " "), levels[i].says)
		}
	}
	if len(empty) > 0 {
		slices.Sort(empty)
		b.WriteString("\nNamed in the plan of the house, still without code: " + strings.Join(empty, ", ") + ".\n")
	}
	return b.String()
}

// inhabited says that a room holds code that is more than tests.
func (m *module) inhabited(name string) bool {
	return slices.ContainsFunc(m.sorted(), func(p *pkg) bool { return within(p.name(), name) && !p.onlyTests() })
}

// TestArchitectureTable compares the table of floors with the one that the imports are checked against.
func TestArchitectureTable(t *testing.T) {
	m := load(t)
	text := read(t, m, architecture)
	head, rest, ok := strings.Cut(text, tableBegin)
	old, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", architecture, tableBegin, tableEnd)
	}
	want := floors(m)
	if old == want {
		return
	}
	if !*update {
		t.Fatalf("the table of %s is not that of internal/house/layers_test.go; run `go test ./internal/house -update`\nwant:\n%s", architecture, want)
	}
	if err := os.WriteFile(filepath.Join(m.root, architecture), []byte(head+tableBegin+want+tableEnd+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestArchitectureIsShort(t *testing.T) {
	if n := strings.Count(read(t, load(t), architecture), "\n"); n > architectureLinesMost {
		t.Errorf("%s has %d lines; two pages are %d", architecture, n, architectureLinesMost)
	}
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

// TestNamesInDocs looks up what the documents name in backquotes: paths of this repository, packages with something
// exported from them (`engine.Step`, `store.Blobs.Open`).
func TestNamesInDocs(t *testing.T) {
	m := load(t)
	exported := exportedNames(m)
	docs, err := filepath.Glob(filepath.Join(m.root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	adrs, err := filepath.Glob(filepath.Join(m.root, "docs", "adr", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, adrs...) {
		rel, _ := filepath.Rel(m.root, doc)
		for i, line := range strings.Split(read(t, m, rel), "\n") {
			for _, q := range quoted.FindAllStringSubmatch(line, -1) {
				if why := m.missing(q[1], exported); why != "" {
					t.Errorf("%s:%d: `%s`: %s", rel, i+1, q[1], why)
				}
			}
		}
	}
}

var (
	goName   = regexp.MustCompile(`^([a-z][a-z0-9]*(?:/[a-z0-9]+)*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)(\(\))?$`)
	repoPath = regexp.MustCompile(`^(?:internal|docs|cmd|recipes|examples)/[\w./-]*$`)
)

// missing says what is wrong with a quoted name; empty: nothing, or it is none of ours.
func (m *module) missing(name string, exported map[string]bool) string {
	if repoPath.MatchString(name) {
		if _, err := os.Stat(filepath.Join(m.root, name)); err != nil {
			return "there is no such file"
		}
		return ""
	}
	g := goName.FindStringSubmatch(name)
	if g == nil {
		return ""
	}
	if _, _, ours := place(g[1]); ours && !exported[g[1]+"."+g[2]] {
		return "package " + g[1] + " exports no such name"
	}
	return ""
}

// exportedNames has `pkg.Name`, `pkg.Type.Method` and `pkg.Type.Field` of all packages, by their room name.
func exportedNames(m *module) map[string]bool {
	out := map[string]bool{}
	for _, p := range m.sorted() {
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, d := range f.ast.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					name := d.Name.Name
					if d.Recv != nil {
						name = receiver(d.Recv.List[0].Type) + "." + name
					}
					out[p.name()+"."+name] = true
				case *ast.GenDecl:
					for _, s := range d.Specs {
						exportSpec(p.name(), s, out)
					}
				}
			}
		}
	}
	return out
}

func exportSpec(pkg string, s ast.Spec, out map[string]bool) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			out[pkg+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		out[pkg+"."+s.Name.Name] = true
		var fields *ast.FieldList
		switch x := s.Type.(type) {
		case *ast.StructType:
			fields = x.Fields
		case *ast.InterfaceType:
			fields = x.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				out[pkg+"."+s.Name.Name+"."+n.Name] = true
			}
		}
	}
}

var docRef = regexp.MustCompile(`docs/[\w./-]*\w\.md`)

// TestReferencesToDocs wants every page that a comment or another page sends its reader to.
func TestReferencesToDocs(t *testing.T) {
	m := load(t)
	eachText(t, m, func(name, text string) {
		if within(name, "examples") || strings.HasSuffix(name, "_test.go") { // applications and fixtures with documents of their own
			return
		}
		for _, ref := range docRef.FindAllString(text, -1) {
			if _, err := os.Stat(filepath.Join(m.root, ref)); err != nil {
				t.Errorf("%s speaks of %s, which does not exist", name, ref)
			}
		}
	})
}

// TestDependencies compares DEPENDENCIES.md, the table of libraries, the imports and go.mod.
func TestDependencies(t *testing.T) {
	m := load(t)
	mod, err := modfile.Parse("go.mod", []byte(read(t, m, "go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]bool{}
	for _, r := range mod.Require {
		required[r.Mod.Path] = true
	}
	direct := map[string]string{} // module -> a file that imports it
	for _, p := range m.sorted() {
		for _, f := range p.files {
			for _, i := range f.imports {
				if standard(i) || within(i, modulePath) {
					continue
				}
				if owner := moduleOf(i, required); owner == "" {
					t.Errorf("%s imports %s, which go.mod does not require", f.name, i)
				} else {
					direct[owner] = f.name
				}
			}
		}
	}
	tools := map[string]bool{}
	for _, tool := range mod.Tool {
		tools[moduleOf(tool.Path, required)] = true
	}
	listed := map[string]bool{}
	for _, row := range tableRow.FindAllStringSubmatch(read(t, m, dependencies), -1) {
		if listed[row[1]] {
			t.Errorf("%s lists %s twice", dependencies, row[1])
		}
		listed[row[1]] = true
		if _, used := direct[row[1]]; !used && !tools[row[1]] {
			t.Errorf("%s lists %s, which nothing imports", dependencies, row[1])
		}
	}
	for d, f := range direct {
		if !listed[d] {
			t.Errorf("%s does not list %s, which %s imports: say why it is there, and what it would take to do without", dependencies, d, f)
		}
	}
	for tool := range tools {
		if !listed[tool] {
			t.Errorf("%s does not list the tool %s", dependencies, tool)
		}
	}
	if len(direct) > dependenciesMost {
		t.Errorf("%d direct dependencies, at most %d", len(direct), dependenciesMost)
	}
}

var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// moduleOf gives the required module that an import path lies in.
func moduleOf(importPath string, required map[string]bool) string {
	best := ""
	for r := range required {
		if within(importPath, r) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

// eachText visits all files of the repository that are text, other modules and test data included.
func eachText(t *testing.T, m *module, visit func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(m.root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != m.root && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "bin" && filepath.Dir(p) == m.root) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(p)
		if os.IsNotExist(err) { // a file that somebody has just taken away
			return nil
		}
		if err != nil {
			return err
		}
		if rel, _ := filepath.Rel(m.root, p); utf8.Valid(b) {
			visit(filepath.ToSlash(rel), string(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var hostName = regexp.MustCompile(`[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

// registries are the first 8 bytes of the SHA-256 of the host names of public registries. They are kept as hashes
// because the names stand nowhere in this repository: where bytes come from is for the user's configuration to say.
var registries = []string{
	"a4aa2ac280bb8d1a", "8b5bb5eb9d758455", "8743857e3ea00fd1", "3ca29e55be4befa4",
	"87d14f070cb96869", "00a7dc5a0cc38858", "9da5f32d96412512", "789e46d79514e280",
	"c3db8466ffcd8589", "41b464c047c28da2", "75adac515f0bd3db", "6f43afdf2d19b5e3",
}

// TestNoRegistryHosts looks for the name of a public registry, or of a host below it, in every file.
func TestNoRegistryHosts(t *testing.T) {
	eachText(t, load(t), func(name, text string) {
		seen := map[string]bool{}
		for _, h := range hostName.FindAllString(text, -1) {
			h = strings.ToLower(h)
			if seen[h] {
				continue
			}
			seen[h] = true
			if namesRegistry(h) {
				t.Errorf("%s:%d names the registry host %s: use a name below .example", name, 1+strings.Count(text[:strings.Index(strings.ToLower(text), h)], "\n"), h)
			}
		}
	})
}

func TestNamesRegistry(t *testing.T) {
	for host, want := range map[string]bool{"py" + "pi.org": true, "files.py" + "thonhosted.org": true, "deb.deb" + "ian.org": true,
		"files.example": false, "example.org": false, "mypy" + "pi.org": false} {
		if got := namesRegistry(host); got != want {
			t.Errorf("%s: got %v, want %v", host, got, want)
		}
	}
}

func namesRegistry(host string) bool {
	for {
		sum := sha256.Sum256([]byte(host))
		if slices.Contains(registries, hex.EncodeToString(sum[:8])) {
			return true
		}
		_, rest, ok := strings.Cut(host, ".")
		if !ok || !strings.Contains(rest, ".") {
			return false
		}
		host = rest
	}
}

// TestOwnProjectPage: what the page for people with a project of their own shows is what stands in an example, whose
// checks `make e2e` runs.
func TestOwnProjectPage(t *testing.T) {
	m := load(t)
	var recipes strings.Builder
	names, err := filepath.Glob(filepath.Join(m.root, "examples/*/recipe.star"))
	if err != nil || len(names) < 4 {
		t.Fatalf("%d recipes, %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		recipes.Write(b)
	}
	blocks := regexp.MustCompile("(?s)```python\n(.*?)```").FindAllStringSubmatch(read(t, m, "docs/howto/own-project.md"), -1)
	if len(blocks) < 4 {
		t.Fatalf("the page has %d blocks of Starlark", len(blocks))
	}
	for _, b := range blocks {
		for _, part := range strings.Split(strings.TrimSpace(b[1]), "\n\n") {
			for _, l := range strings.Split(part, "\n") {
				if !strings.Contains(recipes.String(), l+"\n") {
					t.Errorf("no example has the line %q", l)
				}
			}
		}
	}
}
