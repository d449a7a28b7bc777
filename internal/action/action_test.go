package action_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "write the goldens anew")

var linux = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}

// cases are actions that differ in everything that a key holds.
func cases(t *testing.T) map[string]action.Action {
	t.Helper()
	root := tree.Of(digest.Of([]byte("a root")))
	out := map[string]action.Action{}
	add := func(name string, a action.Action, env map[string]string) {
		a, err := action.New(a, env)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = a
	}
	add("minimal", action.Action{Root: tree.Empty, Args: []string{"true"}, Platform: linux}, nil)
	add("full", action.Action{
		Root: root, Args: []string{"npm", "run", "build", "--", "", "a b\n\"c\""}, Dir: "/web",
		Outputs: []string{"/web/dist", "/web/authentik", "/opt/x"}, Platform: linux,
	}, map[string]string{"NODE_ENV": "production", "PATH": "/opt/node/bin:/usr/bin", "EMPTY": "", "TZ": "UTC", "A1": "x", "A": "y", "A.B": "z"})
	add("as-root", action.Action{Root: root, Args: []string{"sh", "-c", "id"}, Platform: linux, AsRoot: true}, nil)
	add("roots", action.Action{Root: root, Args: []string{"python3", "/check.py"}, Platform: linux, Roots: []action.Root{
		{Name: "postgres", Tree: tree.Of(digest.Of([]byte("a database")))},
		{Name: "image", Tree: tree.Empty, ReadOnly: true, Tmpfs: []string{"/media", "/data/a \"b\"", "/data"}},
	}}, nil)
	add("arm64", action.Action{Root: root, Args: []string{"true"}, Platform: platform.Platform{OS: "linux", Arch: "arm64", Libc: "musl"}}, nil)
	add("long", action.Action{Root: root, Args: []string{strings.Repeat("x", 300)}, Platform: linux}, map[string]string{"LONG": strings.Repeat("y", 20000)})
	return out
}

// The text of each key stands in testdata. Whoever changes one rebuilds everything that all users have: say why.
func TestKeys(t *testing.T) {
	for name, a := range cases(t) {
		text := fmt.Sprintf("%scommand %s\nkey %s\n", a.Dump(), digest.Of(a.CommandMessage()), a.Key())
		golden(t, "action-"+name, text)
	}
	for name, n := range map[string]action.Native{
		"empty":  {Name: "merge/v1"},
		"wheel":  {Name: "wheel-install/v2", Params: []byte(`{"at":"/ak-root/.venv"}`), Inputs: []string{"artifact sha256:00 \"a.whl\"", "tree 11/2"}},
		"quoted": {Name: "x/v1", Params: []byte("a\nb")},
	} {
		golden(t, "native-"+name, fmt.Sprintf("%skey %s\n", n.Dump(), n.Key()))
	}
	m := action.Memo{Step: digest.Of([]byte("a step")), Platform: linux}
	golden(t, "memo-fixed", fmt.Sprintf("%skey %s\n", m.Dump(), m.Key()))
	m.Sources = []string{"app 11/2", "client 22/3"}
	golden(t, "memo", fmt.Sprintf("%skey %s\n", m.Dump(), m.Key()))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s (run with -update to write it anew):\n%s\nwant\n%s", name, got, want)
	}
}

// The bytes are those that the protocol's own messages give, so that a cluster which hashes them itself agrees.
func TestMessagesAreTheProtocols(t *testing.T) {
	for name, a := range cases(t) {
		user := "1000"
		if a.AsRoot {
			user = "0"
		}
		p := &repb.Platform{Properties: []*repb.Platform_Property{
			{Name: "Arch", Value: a.Platform.Arch}, {Name: "OSFamily", Value: a.Platform.OS},
			{Name: "hewn-sandbox", Value: action.Contract}, {Name: "hewn-user", Value: user},
		}}
		if name == "roots" {
			p.Properties = slices.Insert(p.Properties, 2,
				&repb.Platform_Property{Name: "hewn-root", Value: "image " + tree.Empty.String() + ` read-only "/data" "/data/a \"b\"" "/media"`},
				&repb.Platform_Property{Name: "hewn-root", Value: "postgres " + tree.Of(digest.Of([]byte("a database"))).String() + " writable"},
				&repb.Platform_Property{Name: "hewn-roots", Value: action.RootsContract})
		}
		//lint:ignore SA1019 clusters of before version 2.2 read it here
		c := &repb.Command{Arguments: a.Args, Platform: p, WorkingDirectory: strings.TrimPrefix(a.Dir, "/")}
		for _, kv := range a.Env {
			k, v, _ := strings.Cut(kv, "=")
			c.EnvironmentVariables = append(c.EnvironmentVariables, &repb.Command_EnvironmentVariable{Name: k, Value: v})
		}
		for _, o := range a.Outputs {
			c.OutputPaths = append(c.OutputPaths, strings.TrimPrefix(o, "/"))
		}
		compare(t, name+" command", a.CommandMessage(), c)
		compare(t, name+" action", a.ActionMessage(), &repb.Action{
			CommandDigest: wire(digest.Of(a.CommandMessage())), InputRootDigest: wire(a.Root.Digest()), Platform: p,
		})
	}
}

func wire(d digest.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()} }

func compare(t *testing.T, what string, got []byte, m proto.Message) {
	t.Helper()
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s:\n%q\nwant\n%q", what, got, want)
	}
}

// Everything that can change a result changes the key, and nothing else does.
func TestWhatIsInAKey(t *testing.T) {
	base := func() (action.Action, map[string]string) {
		return action.Action{Root: tree.Empty, Args: []string{"cc", "a.c"}, Dir: "/src", Outputs: []string{"/out", "/b"}, Platform: linux}, map[string]string{"A": "1"}
	}
	key := func(change func(a *action.Action, env map[string]string)) string {
		a, env := base()
		change(&a, env)
		n, err := action.New(a, env)
		if err != nil {
			t.Fatal(err)
		}
		return n.Key().String()
	}
	same := key(func(*action.Action, map[string]string) {})
	seen := map[string]string{same: "nothing"}
	for name, change := range map[string]func(a *action.Action, env map[string]string){
		"root":          func(a *action.Action, _ map[string]string) { a.Root = tree.Of(digest.Of([]byte("x"))) },
		"argument":      func(a *action.Action, _ map[string]string) { a.Args = []string{"cc", "b.c"} },
		"arguments cut": func(a *action.Action, _ map[string]string) { a.Args = []string{"cc a.c"} },
		"directory":     func(a *action.Action, _ map[string]string) { a.Dir = "/" },
		"outputs":       func(a *action.Action, _ map[string]string) { a.Outputs = []string{"/out"} },
		"variable":      func(_ *action.Action, env map[string]string) { env["A"] = "2" },
		"variable more": func(_ *action.Action, env map[string]string) { env["B"] = "" },
		"base variable": func(_ *action.Action, env map[string]string) { env["TZ"] = "CET" },
		"user":          func(a *action.Action, _ map[string]string) { a.AsRoot = true },
		"arch":          func(a *action.Action, _ map[string]string) { a.Platform.Arch = "arm64" },
		"os":            func(a *action.Action, _ map[string]string) { a.Platform.OS = "other" },
		"a root":        func(a *action.Action, _ map[string]string) { a.Roots = roots() },
		"more roots":    func(a *action.Action, _ map[string]string) { a.Roots = append(roots(), action.Root{Name: "c"}) },
		"root's name":   func(a *action.Action, _ map[string]string) { a.Roots = roots(); a.Roots[0].Name = "other" },
		"root's tree": func(a *action.Action, _ map[string]string) {
			a.Roots = roots()
			a.Roots[0].Tree = tree.Of(digest.Of([]byte("x")))
		},
		"root's mode":  func(a *action.Action, _ map[string]string) { a.Roots = roots(); a.Roots[0].ReadOnly = true },
		"root's tmpfs": func(a *action.Action, _ map[string]string) { a.Roots = roots(); a.Roots[0].Tmpfs = []string{"/a"} },
		"tmpfs cut":    func(a *action.Action, _ map[string]string) { a.Roots = roots(); a.Roots[0].Tmpfs = []string{"/a b"} },
		"roots swapped": func(a *action.Action, _ map[string]string) {
			a.Roots = roots()
			a.Roots[0].Tree, a.Roots[1].Tree = a.Roots[1].Tree, a.Roots[0].Tree
		},
	} {
		k := key(change)
		if other, twice := seen[k]; twice {
			t.Errorf("%s gives the key of %s", name, other)
		}
		seen[k] = name
	}
	for name, change := range map[string]func(a *action.Action, env map[string]string){
		"order of outputs":    func(a *action.Action, _ map[string]string) { a.Outputs = []string{"/b", "/out"} },
		"base variable again": func(_ *action.Action, env map[string]string) { env["TZ"] = "UTC" },
		"no roots":            func(a *action.Action, _ map[string]string) { a.Roots = []action.Root{} },
	} {
		if key(change) != same {
			t.Errorf("%s changes the key", name)
		}
	}
	withRoots := key(func(a *action.Action, _ map[string]string) { a.Roots = roots() })
	if withRoots != key(func(a *action.Action, _ map[string]string) { a.Roots = roots(); slices.Reverse(a.Roots) }) {
		t.Error("order of roots changes the key")
	}
}

// roots are two further roots, not sorted.
func roots() []action.Root {
	return []action.Root{{Name: "b", Tree: tree.Empty, Tmpfs: []string{"/b", "/a"}}, {Name: "a", Tree: tree.Of(digest.Of([]byte("a")))}}
}

// An action stays the caller's: New changes nothing that it was given.
func TestNewKeepsItsInput(t *testing.T) {
	given := roots()
	if _, err := action.New(action.Action{Args: []string{"a"}, Roots: given}, nil); err != nil {
		t.Fatal(err)
	}
	if given[0].Name != "b" || given[0].Tmpfs[0] != "/b" {
		t.Errorf("%+v", given)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		a    action.Action
		env  map[string]string
		want string
	}{
		"no command":        {action.Action{}, nil, "no command"},
		"empty command":     {action.Action{Args: []string{"", "x"}}, nil, "no command"},
		"zero byte":         {action.Action{Args: []string{"a\x00"}}, nil, "zero byte"},
		"variable name":     {action.Action{Args: []string{"a"}}, map[string]string{"A=B": ""}, "A=B"},
		"variable zero":     {action.Action{Args: []string{"a"}}, map[string]string{"A": "\x00"}, "cannot be set"},
		"relative output":   {action.Action{Args: []string{"a"}, Outputs: []string{"out"}}, nil, "`out`"},
		"root output":       {action.Action{Args: []string{"a"}, Outputs: []string{"/"}}, nil, "below /"},
		"unclean output":    {action.Action{Args: []string{"a"}, Outputs: []string{"/a/../b"}}, nil, "absolute clean"},
		"output twice":      {action.Action{Args: []string{"a"}, Outputs: []string{"/a", "/a"}}, nil, "within"},
		"output in output":  {action.Action{Args: []string{"a"}, Outputs: []string{"/a/b", "/a", "/a-b"}}, nil, "within"},
		"relative work dir": {action.Action{Args: []string{"a"}, Dir: "src"}, nil, "working directory"},
		"root's name":       {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "A"}}}, nil, "`A` is no name"},
		"digit first":       {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "1a"}}}, nil, "no name"},
		"no name":           {action.Action{Args: []string{"a"}, Roots: []action.Root{{}}}, nil, "no name"},
		"space in name":     {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a b"}}}, nil, "no name"},
		"two roots":         {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a"}, {Name: "b"}, {Name: "a"}}}, nil, "two further roots are called `a`"},
		"relative tmpfs":    {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a", Tmpfs: []string{"data"}}}}, nil, "tmpfs `data`"},
		"tmpfs everywhere":  {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a", Tmpfs: []string{"/"}}}}, nil, "below /"},
		"unclean tmpfs":     {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a", Tmpfs: []string{"/a//b"}}}}, nil, "clean"},
		"tmpfs twice":       {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a", Tmpfs: []string{"/a", "/b", "/a"}}}}, nil, "twice"},
		"tmpfs in proc":     {action.Action{Args: []string{"a"}, Roots: []action.Root{{Name: "a", Tmpfs: []string{"/proc/x"}}}}, nil, "of its own"},
		"output at socket":  {action.Action{Args: []string{"a"}, Outputs: []string{"/run/hewn/x"}, Roots: roots()}, nil, "its socket"},
		"output over it":    {action.Action{Args: []string{"a"}, Outputs: []string{"/run"}, Roots: roots()}, nil, "its socket"},
		"unclean work dir":  {action.Action{Args: []string{"a"}, Dir: "/src/"}, nil, "working directory"},
	} {
		want := strings.ReplaceAll(c.want, "`", "\"")
		if _, err := action.New(c.a, c.env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %s", name, err, want)
		}
	}
}

func TestSourceDateEpochIsTheConstant(t *testing.T) {
	if got := action.BaseEnv()["SOURCE_DATE_EPOCH"]; got != fmt.Sprint(action.SourceDateEpoch) {
		t.Errorf("SOURCE_DATE_EPOCH=%s, want %d", got, action.SourceDateEpoch)
	}
}

func BenchmarkKey(b *testing.B) {
	for b.Loop() {
		a, err := action.New(action.Action{Root: tree.Empty, Args: []string{"cc", "a.c"}, Dir: "/src", Outputs: []string{"/out"}, Platform: linux}, map[string]string{"A": "1"})
		if err != nil {
			b.Fatal(err)
		}
		a.Key()
	}
}
