package house

import (
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// snippet parses a file that exists only here.
func snippet(t *testing.T, name, text string) *file {
	t.Helper()
	m := &module{fset: token.NewFileSet()}
	tree, err := parser.ParseFile(m.fset, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return &file{name: name, ast: tree}
}

func names(us []use) string {
	var out []string
	for _, u := range us {
		out = append(out, u.name)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

func TestUses(t *testing.T) {
	f := snippet(t, "internal/tree/x.go", `package tree

import (
	"math/rand/v2"
	o "os"
	"path/filepath"
)

var clock = filepath.Join

func f() {
	_ = rand.Int()
	o.Exit(1)
	var filepath struct{ Base int }
	_ = filepath.Base
}
`)
	if got, want := names(uses(f)), "math/rand/v2 math/rand/v2.Int os os.Exit path/filepath path/filepath.Join"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestForbidden(t *testing.T) {
	find := func(name string) ban {
		for _, b := range bans {
			if slices.Contains(b.names, name) {
				return b
			}
		}
		t.Fatalf("%s is not banned", name)
		return ban{}
	}
	for _, c := range []struct {
		what, file string
		want       bool
	}{
		{"os.Getenv", "internal/origin/resolve.go", true},
		{"os.Getenv", "internal/cli/cli.go", false},
		{"os.Exit", "internal/executor/sandbox/server.go", false},
		{"os.Exit", "internal/executor/executor.go", true},
		{"os/exec", "internal/fetch/git/git.go", false},
		{"os/exec", "internal/fetch/http.go", true},
		{"path/filepath", "internal/tree/merge.go", true},
		{"path/filepath", "internal/tree/checkout.go", false},
		{"path/filepath", "internal/store/disk/disk.go", false},
		{"time.Now", "internal/action/action.go", true},
		{"time.Now", "internal/fetch/http.go", false},
		{"fmt.Println", "internal/ui/ui.go", false},
		{"fmt.Println", "internal/engine/run.go", true},
	} {
		if got := find(c.what).forbidden(roomName(path.Dir(c.file)), &file{name: c.file}); got != c.want {
			t.Errorf("%s in %s: banned: %v, want %v", c.what, c.file, got, c.want)
		}
	}
}

func TestAssignments(t *testing.T) {
	f := snippet(t, "x.go", `package x

var a, b, c, d, e = 1, map[int]int{}, struct{ n int }{}, 0, 0

func f() {
	a = 2
	b[1]++
	c.n += 3
	local := 1
	local = 2
	d := local
	d = 3
	elsewhere = d
	_ = e
}

func g(e int) { e = 1 }
`)
	globals := map[string]bool{"elsewhere": true}
	collectGlobals(f, globals)
	if got, want := names(assignments(f, globals)), "a b c elsewhere"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUndocumented(t *testing.T) {
	f := snippet(t, "x.go", `package x

// Said is said.
type Said struct{}
type Bare struct{}

// Group has words.
const (
	One = 1
	Two = 2
)

const Three = 3 // three

var Four, five = 4, 5

// M is said.
func (Said) M()      {}
func (*Said) Bare()  {}
func (b bare) Good() {}
func Plain()         {}
func small()         {}

type bare struct{}
type G[T any] struct{}

func (G[T]) Get() {}
`)
	if got, want := names(undocumented(f.ast)), "Bare Four G G.Get Plain Said.Bare"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
