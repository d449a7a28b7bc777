package rust

import (
	"context"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// builtWorld is a project with a member, and a crate from a registry whose host is an identity.
func builtWorld(t *testing.T) *plantest.World {
	w := worldOf(t, oracleCase{crates: []crate{lib("leaf", "1.0.0")}}, read(t, "testdata/oracle/workspace/Cargo.lock"))
	w.Files["leaf-1.0.0.crate"] = []byte(read(t, "testdata/oracle/workspace/leaf-1.0.0.crate"))
	src := w.Sources["app"]
	src["Cargo.toml"] = member("app", "rust-version = \"1.70\"\n[[bin]]\nname = \"app\"\npath = \"cmd/app.rs\"\n[dependencies]\ninner = { path = \"inner\" }\n[workspace]\n")
	src["cmd/app.rs"] = "fn main() { inner::f() }\n"
	src["cmd/other.rs"] = "// not the root of a target\n"
	src["inner/Cargo.toml"] = member("inner", "[dependencies]\nleaf = \"1\"\n")
	src["inner/src/lib.rs"] = "pub fn f() { leaf::f() }\n"
	w.Sources["root"] = map[string]string{"usr/bin/cargo": "#!"}
	return w
}

func buildPlan(rustc string) engine.Plan {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		return Build(ctx, ask, BuildOptions{Source: engine.Source("app"), Bin: "app", Output: "/bin/app", Root: engine.Source("root").Step, Rustc: rustc})
	}
}

func TestBuild(t *testing.T) {
	w := builtWorld(t)
	tr, err := w.Build(buildPlan("1.95.0"))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Paths(tr); got != "bin/empty\n" { // what the executor of the test leaves
		t.Errorf("got %q", got)
	}
	if len(w.Ran) != 3 {
		t.Fatalf("%d actions ran", len(w.Ran))
	}
	deps, inner, app := w.Ran[0].Action, w.Ran[1].Action, w.Ran[2].Action
	if s := strings.Join(deps.Args, " "); !strings.Contains(s, "'cargo' 'clean'") || !strings.Contains(s, "'-p' 'inner'") || !strings.Contains(s, probeDir) {
		t.Errorf("the dependencies are compiled with %s", s)
	}
	if got := content(t, w, deps.Root, "build/src/cmd/app.rs"); got != "fn main() {}\n" {
		t.Errorf("compiling the dependencies sees the application: %q", got)
	}
	if got := content(t, w, inner.Root, "build/src/cmd/app.rs"); got != "fn main() {}\n" || strings.Contains(w.Paths(inner.Root), "other.rs") {
		t.Errorf("compiling the member sees the program: %q", got)
	}
	if got := content(t, w, inner.Root, "build/src/inner/src/lib.rs"); got != w.Sources["app"]["inner/src/lib.rs"] {
		t.Errorf("the member is compiled from %q", got)
	}
	if s := strings.Join(inner.Args, " "); !strings.Contains(s, "'-p' 'app'") || strings.Contains(s, "then 'cargo' 'clean' '--locked' '--offline' '--release' '--target-dir' '/build/target' '-p' 'inner'") {
		t.Errorf("the member is compiled with %s", s)
	}
	if got := content(t, w, app.Root, "build/src/cmd/app.rs"); got != w.Sources["app"]["cmd/app.rs"] {
		t.Errorf("the application is compiled from %q", got)
	}
	if strings.Contains(w.Paths(deps.Root), "other.rs") {
		t.Error("compiling the dependencies sees a file that is the root of no target")
	}
}

// TestBuildEdit shows that an edit compiles no crate again, and one of the program no member.
func TestBuildEdit(t *testing.T) {
	w := builtWorld(t)
	for i, edit := range []struct {
		file, text string
		runs       int
	}{{"cmd/app.rs", "fn main() {}\n", 3}, {"cmd/app.rs", "fn main() { }\n", 1}, {"inner/src/lib.rs", "pub fn f() {}\n", 2}, {"inner/Cargo.toml", member("inner", "description = \"x\"\n[dependencies]\nleaf = \"1\"\n"), 3}} {
		w.Ran, w.Sources["app"][edit.file] = nil, edit.text
		if _, err := w.Build(buildPlan("1.95.0")); err != nil || len(w.Ran) != edit.runs {
			t.Errorf("edit %d ran %d actions, want %d; %v", i, len(w.Ran), edit.runs, err)
		}
	}
}

func TestToolchainTooOld(t *testing.T) {
	for name, c := range map[string]struct{ file, text, have, want string }{
		"rust-version": {"README", "", "1.63.0", "asks for Rust 1.70, but the root has 1.63.0"},
		"toolchain":    {"rust-toolchain.toml", "[toolchain]\nchannel = \"1.94.0\"\n", "1.93.1", "asks for Rust 1.94.0"},
		"old form":     {"rust-toolchain", "1.94.0\n", "1.93.1+dfsg1-1", "asks for Rust 1.94.0"},
		"nightly":      {"rust-toolchain", "nightly-2026-01-01\n", "1.95.0", "archives have releases only"},
		"stable":       {"rust-toolchain", "stable\n", "1.70.0", ""},
		"equal":        {"rust-toolchain.toml", "[toolchain]\nchannel = \"1.94.0\"\n", "1.94.0+dfsg1-1", ""},
		"newer":        {"rust-toolchain.toml", "[toolchain]\nchannel = \"1.9.0\"\n", "1.94.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := builtWorld(t)
			w.Sources["app"][c.file] = c.text
			_, err := w.Build(buildPlan(c.have))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
