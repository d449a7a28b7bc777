package house

import (
	"slices"
	"strings"
	"testing"
)

// level is one floor of the house: its packages import only packages of lower floors.
type level struct {
	rooms []room
	says  string // what lives there, for docs/ARCHITECTURE.md
}

// room is a package together with those below it, which may import each other. A package below that has a room of its
// own (executor/sandbox) is not part of it.
type room struct {
	name string
	may  []string // rooms of the same floor that it may import, each with its reason in a comment
}

func rooms(names ...string) []room {
	var out []room
	for _, n := range names {
		out = append(out, room{name: n})
	}
	return out
}

// levels is the table of DESIGN: the order in which packages are built on one another.
var levels = []level{
	{says: "the address of bytes; os, processor and C library; problems; what happens in a run: all as values", rooms: []room{
		{name: "digest"}, {name: "platform"}, {name: "diag"},
		{name: "event", may: []string{"digest"}}, // events carry digests of outputs and logs
	}},
	{says: "trees and their algebra, pure; sources, artifacts and integrities as values", rooms: rooms("tree", "source")},
	{says: "where content and results are kept; lock files, pins and `hewn.toml` as values", rooms: []room{
		{name: "store"}, {name: "lock"}, {name: "pins"}, {name: "workspace"},
	}},
	{says: "streams to trees; the only maker of keys; what runs actions; the REAPI client; where bytes are asked for", rooms: []room{
		{name: "archive"}, {name: "action"}, {name: "reapi"}, {name: "origin"},
		{name: "executor", may: []string{"action"}}, // a Request carries the Action that is to be run
	}},
	{says: "namespaces of this machine; a cluster; verified downloads", rooms: rooms("executor/sandbox", "executor/remote", "fetch")},
	{says: "evaluation of steps and plans; what recipes describe and upper floors carry out", rooms: rooms("engine", "spec")},
	{says: "one ecosystem each: plans and native steps", rooms: rooms(ecosystems...)},
	{says: "Starlark to targets; images; attestations; sessions of several services; the bundled recipes", rooms: rooms("recipe", "image", "attest", "service", "recipes")},
	{says: "what is done with recipes, results and recorded graphs", rooms: rooms("update", "check", "verify", "explain", "report")},
	{says: "events and problems to text and JSON", rooms: rooms("ui")},
	{says: "flags, settings, and the wiring of it all", rooms: rooms("cli")},
	{says: "the program", rooms: rooms("cmd/hewn")},
}

// ecosystems never import one another; being on one floor sees to it.
var ecosystems = []string{"python", "node", "golang", "rust", "debian", "maven", "openapi", "oci"}

// outside are packages that no program contains: fakes, conformance suites, end-to-end tests, benchmarks. They may
// import anything below the command line; only tests may import them.
var outside = []string{"testkit", "house", "store/storetest", "executor/executortest", "e2e", "bench"}

// programs that are compiled into a tree of their own import nothing of hewn.
var standalone = []string{"golang/helper"}

// libraries says who may import what does not come with Go. Whoever is not listed may not, so that a library stays in
// the one room that it was chosen for. Tests are free: they compare with the real thing.
var libraries = map[string][]string{
	"deps.dev/util":                                 {"python", "node"},
	"github.com/ProtonMail/go-crypto":               {"debian"},
	"github.com/bazelbuild/remote-apis":             {"reapi"},
	"github.com/elastic/go-seccomp-bpf":             {"executor/sandbox"},
	"github.com/bluekeyes/go-gitdiff":               {"node"},
	"github.com/goccy/go-yaml":                      {"recipe", "lock", "openapi"},
	"github.com/google/go-containerregistry":        {"image", "oci"},
	"github.com/klauspost/compress":                 {"archive", "oci"},
	"github.com/pelletier/go-toml/v2":               {"workspace", "lock", "origin", "recipe", "pins"},
	"github.com/spf13/cobra":                        {"cli"},
	"github.com/spf13/pflag":                        {"cli"},
	"github.com/mikelolasagasti/xz":                 {"archive"},
	"github.com/therootcompany/xz":                  {"archive"},
	"go.starlark.net":                               {"recipe"},
	"golang.org/x/mod":                              {"source", "lock", "golang"},
	"golang.org/x/net/html":                         {"python"},
	"golang.org/x/net/http/httpproxy":               {"cli"},
	"golang.org/x/sync":                             {"tree", "archive", "store", "executor", "fetch", "engine", "debian", "python", "node", "golang", "oci", "image", "service", "check", "cli"},
	"golang.org/x/sys":                              {"store", "executor", "cli"},
	"golang.org/x/term":                             {"cli"},
	"google.golang.org/grpc":                        {"reapi"},
	"google.golang.org/protobuf":                    {"reapi"},
	"google.golang.org/protobuf/encoding/protowire": {"tree", "action", "reapi"},
	"pault.ag/go/debian":                            {"debian"},
}

// place gives the floor and the room of a package.
func place(name string) (floor int, r room, ok bool) {
	floor = -1
	for i, l := range levels {
		for _, x := range l.rooms {
			if within(name, x.name) && len(x.name) > len(r.name) {
				floor, r = i, x
			}
		}
	}
	return floor, r, floor >= 0
}

// mayImport says why importer must not import what; both are names of packages of this module. Empty: it may.
func mayImport(importer, what string) string {
	switch {
	case within(importer, outside...):
		return ""
	case within(importer, standalone...):
		return "it is compiled into a tree on its own and imports nothing of hewn"
	case within(what, outside...):
		return "only tests may import it"
	case within(what, standalone...):
		return "it is a program of its own"
	}
	floor, r, ok := place(importer)
	below, other, ok2 := place(what)
	switch {
	case !ok:
		return "`" + importer + "` stands on no floor: give it a room in the table `levels` of internal/house/layers_test.go"
	case !ok2:
		return "`" + what + "` stands on no floor: give it a room in the table `levels` of internal/house/layers_test.go"
	case r.name == other.name, below < floor, slices.Contains(r.may, other.name):
		return ""
	case below > floor:
		return "it lies higher: take what you need as a function or a small interface"
	case slices.Contains(ecosystems, r.name):
		return "an ecosystem never imports another"
	}
	return "it lies on the same floor, and no exception with a reason is listed"
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range load(t).sorted() {
		if _, _, ok := place(p.name()); !ok && !within(p.name(), outside...) {
			t.Errorf("%s stands on no floor: give it a room in the table `levels` of internal/house/layers_test.go", p.dir)
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, i := range f.imports {
				dir, ours := strings.CutPrefix(i, modulePath+"/")
				if !ours {
					continue
				}
				if why := mayImport(p.name(), roomName(dir)); why != "" {
					t.Errorf("%s imports %s: %s", f.name, dir, why)
				}
			}
		}
	}
}

// TestImportsOfTests lets tests go sideways, but not up: a test that needs what is built on its package is a test of that.
func TestImportsOfTests(t *testing.T) {
	for _, p := range load(t).sorted() {
		floor, r, ok := place(p.name())
		if !ok {
			continue
		}
		for _, f := range p.files {
			for _, i := range f.imports {
				dir, ours := strings.CutPrefix(i, modulePath+"/")
				if !ours || !f.test || within(roomName(dir), outside...) {
					continue
				}
				if below, other, ok := place(roomName(dir)); ok && below > floor && other.name != r.name {
					t.Errorf("%s imports %s, which lies higher: move the test up there", f.name, dir)
				}
			}
		}
	}
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, p := range load(t).sorted() {
		if within(p.name(), outside...) {
			continue
		}
		for _, f := range p.files {
			for _, i := range f.imports {
				if f.test || standard(i) || within(i, modulePath) {
					continue
				}
				allowed, ok := libraryRooms(i)
				switch {
				case !ok:
					t.Errorf("%s imports %s, which the table `libraries` does not list: add it there and to docs/DEPENDENCIES.md, with the reason", f.name, i)
				case !within(p.name(), allowed...):
					t.Errorf("%s imports %s, which only %s may", f.name, i, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

// standard says that an import path comes with Go: its first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// libraryRooms gives the entry of `libraries` that names importPath most closely.
func libraryRooms(importPath string) (allowed []string, ok bool) {
	best := ""
	for lib, names := range libraries {
		if within(importPath, lib) && len(lib) > len(best) {
			best, allowed = lib, names
		}
	}
	return allowed, best != ""
}

// TestRules checks the checker: what must be refused is, with the reason.
func TestRules(t *testing.T) {
	for _, c := range []struct{ importer, what, says string }{
		{"cli", "digest", ""},
		{"store/disk", "store", ""},
		{"python", "python/wheel", ""},
		{"python/wheel", "python/pep508", ""},
		{"executor/sandbox", "executor", ""},
		{"executor/twice", "executor", ""},
		{"event", "digest", ""},
		{"testkit/fakereapi", "engine", ""},
		{"digest", "event", "same floor"},
		{"python", "node", "an ecosystem never imports another"},
		{"engine", "python", "higher"},
		{"executor", "executor/sandbox", "higher"},
		{"store", "action", "higher"},
		{"fetch", "engine", "higher"},
		{"fetch", "executor/sandbox", "same floor"},
		{"engine", "testkit", "only tests"},
		{"golang/helper", "digest", "nothing of hewn"},
		{"common", "digest", "no floor"},
	} {
		why := mayImport(c.importer, c.what)
		if (c.says == "") != (why == "") || !strings.Contains(why, c.says) {
			t.Errorf("%s imports %s: got %q, want %q in it", c.importer, c.what, why, c.says)
		}
	}
	if names, _ := libraryRooms("google.golang.org/protobuf/encoding/protowire"); !slices.Contains(names, "tree") {
		t.Errorf("the entry for protowire is hidden by a shorter one: %v", names)
	}
}
