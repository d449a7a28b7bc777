package rust

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

// insidePlan mounts what Inside gives for the source `app`.
func insidePlan(o InsideOptions, got *Crates) engine.Plan {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		o.Source = engine.Source("app")
		c, err := Inside(ctx, ask, o)
		if err != nil || len(c.Layers) == 0 {
			return engine.Merge("nothing"), err
		}
		*got = c
		return c.Layers[0].Step, nil
	}
}

// insideWorld is a package with Rust inside, in the directory `rust` of its source.
func insideWorld(t *testing.T) *plantest.World {
	w := worldOf(t, oracleCase{crates: []crate{lib("leaf", "1.0.0")}}, read(t, "testdata/oracle/workspace/Cargo.lock"))
	w.Files["leaf-1.0.0.crate"] = []byte(read(t, "testdata/oracle/workspace/leaf-1.0.0.crate"))
	lock := w.Sources["app"]["Cargo.lock"]
	w.Sources["app"] = map[string]string{
		"rust/Cargo.lock":       lock,
		"rust/Cargo.toml":       member("app", "[dependencies]\ninner = { path = \"inner\" }\n[workspace]\nexclude = [\"fuzz\"]\n[workspace.package]\nrust-version = \"1.70\"\n"),
		"rust/src/lib.rs":       "",
		"rust/inner/Cargo.toml": member("inner", "[dependencies]\nleaf = \"1\"\n"),
		"rust/inner/src/lib.rs": "",
		"rust/fuzz/Cargo.toml":  member("fuzz", "rust-version = \"1.99\"\n"),
		"setup.py":              "",
	}
	return w
}

func TestInside(t *testing.T) {
	const vendored = "config.toml\nvendor/leaf-1.0.0/.cargo-checksum.json\nvendor/leaf-1.0.0/Cargo.toml\nvendor/leaf-1.0.0/src/lib.rs\n"
	for name, c := range map[string]struct {
		edit func(src map[string]string)
		o    InsideOptions
		want string
	}{
		"found":      {nil, InsideOptions{Rustc: "1.80.0"}, vendored},
		"named":      {nil, InsideOptions{Rustc: "1.80.0", Manifests: []string{"rust/Cargo.toml"}}, vendored},
		"a member":   {nil, InsideOptions{Rustc: "1.80.0", Manifests: []string{"rust/inner/Cargo.toml"}}, vendored},
		"two of one": {nil, InsideOptions{Rustc: "1.80.0", Manifests: []string{"rust/Cargo.toml", "rust/inner/Cargo.toml"}}, vendored},
		"at the top": {func(s map[string]string) {
			s["Cargo.toml"], s["src/lib.rs"], s["Cargo.lock"] = member("top", ""), "", "version = 4\n[[package]]\nname = \"top\"\nversion = \"0.1.0\"\n"
		}, InsideOptions{Rustc: "1.80.0"}, "config.toml\nvendor/\n"},
		"two workspaces": {func(s map[string]string) {
			s["other/Cargo.toml"], s["other/Cargo.lock"] = s["rust/Cargo.toml"], s["rust/Cargo.lock"]
			s["other/inner/Cargo.toml"] = s["rust/inner/Cargo.toml"]
		}, InsideOptions{Rustc: "1.80.0"}, vendored},
		"none":      {func(s map[string]string) { clear(s); s["setup.py"] = "" }, InsideOptions{}, ""},
		"no rustc":  {nil, InsideOptions{}, "app 1/rust/Cargo.toml: target it: `app 1` has Rust inside, but the root that it is built in has no rustc"},
		"old rustc": {nil, InsideOptions{Rustc: "1.63.0"}, "app 1/rust/Cargo.toml:10:16: `workspace.package.rust-version`: target it: the source asks for Rust 1.70, but the root has 1.63.0"},
		"a member's": {func(s map[string]string) {
			s["rust/inner/Cargo.toml"] = member("inner", "rust-version = \"1.81\"\n[dependencies]\nleaf = \"1\"\n")
		}, InsideOptions{Rustc: "1.80.0"}, "app 1/rust/inner/Cargo.toml:5:16: `package.rust-version`: target it: the source asks for Rust 1.81"},
		"named, missing": {nil, InsideOptions{Rustc: "1.80.0", Manifests: []string{"Cargo.toml"}}, "`app 1` names the manifest `Cargo.toml`, which is not there"},
		"bad lock":       {func(s map[string]string) { s["rust/Cargo.lock"] = "version = 5\n" }, InsideOptions{Rustc: "1.80.0"}, "app 1/rust/Cargo.lock:1:11: `version`: target it: lock format version 5 is not known"},
		"bad manifest":   {func(s map[string]string) { s["rust/Cargo.toml"] = "[package\n" }, InsideOptions{Rustc: "1.80.0"}, "app 1/rust/Cargo.toml:1:9: target it: is not TOML"},
		"not pinned":     {func(s map[string]string) { delete(s, "rust/Cargo.lock") }, InsideOptions{Rustc: "1.80.0"}, "crates/app@1/rust is not pinned"},
		"git, not locked": {func(s map[string]string) {
			delete(s, "rust/Cargo.lock")
			s["rust/Cargo.toml"] = strings.Replace(s["rust/Cargo.toml"], "[dependencies]", "[dependencies]\nup = { git = \"https://forge.example/up\" }", 1)
		}, InsideOptions{Rustc: "1.80.0"},
			"app 1/rust/Cargo.toml:6:6: `dependencies.up`: target it: `up` is neither in a Cargo.lock nor in the default registry"},
		"another root": {func(s map[string]string) {
			s["rust/inner/Cargo.toml"] = strings.Replace(s["rust/inner/Cargo.toml"], "edition", "workspace = \"..\"\nedition", 1)
		}, InsideOptions{Rustc: "1.80.0", Manifests: []string{"rust/inner/Cargo.toml"}}, vendored},
		"excluded member": {func(s map[string]string) {
			s["rust/fuzz/Cargo.lock"] = "version = 4\n[[package]]\nname = \"fuzz\"\nversion = \"0.1.0\"\n"
		}, InsideOptions{Rustc: "1.99.0", Manifests: []string{"rust/fuzz/Cargo.toml"}}, "config.toml\nvendor/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := insideWorld(t)
			if c.edit != nil {
				c.edit(w.Sources["app"])
			}
			var got Crates
			tr, err := w.Build(insidePlan(c.o.labelled(), &got))
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				text = w.Paths(tr)
			}
			if err == nil && text != c.want || err != nil && (c.want == "" || !strings.Contains(text, c.want)) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
			if err == nil && len(got.Layers) > 0 && (got.Layers[0].At != "/usr/local/cargo" || got.Env["CARGO_NET_OFFLINE"] != "true") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func (o InsideOptions) labelled() InsideOptions { o.Label = "app 1"; return o }

// TestInsideRelocked shows what becomes of a lock that is missing or out of date: what is pinned is vendored, and cargo makes a lock of it.
func TestInsideRelocked(t *testing.T) {
	leaf := lib("leaf", "1.0.0")
	sum := sha256.Sum256(leaf.pack(t))
	integrity, err := source.NewIntegrity(source.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	pinned := []source.Artifact{{Ecosystem: source.Crates, Name: "leaf", Version: "1.0.0", File: "leaf-1.0.0.crate", Integrity: integrity}}
	for name, c := range map[string]struct {
		edit  func(src map[string]string)
		asked string // empty: nothing; the lock has enough
	}{
		"missing": {func(s map[string]string) { delete(s, "rust/Cargo.lock") }, "need leaf 1|rust 1.80"},
		"stale": {func(s map[string]string) {
			s["rust/Cargo.toml"] = strings.Replace(s["rust/Cargo.toml"], "[dependencies]", "[features]\nx = [\"leaf/deep\", \"inner/y\"]\n[dependencies]\nleaf = { version = \">=1, <3\", default-features = false, features = [\"b\", \"a\"], optional = true }", 1)
		}, "have leaf 1.0.0|need leaf 1|need leaf >=1,<3 features=a,b,deep no-default|rust 1.80"},
		"too much": {func(s map[string]string) {
			s["rust/inner/Cargo.toml"] = member("inner", "")
			s["rust/Cargo.lock"] = strings.Replace(s["rust/Cargo.lock"], "dependencies = [\n \"leaf\",\n]\n", "", 1)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := insideWorld(t)
			w.Files["leaf-1.0.0.crate"] = leaf.pack(t)
			w.Pins["crates/app@1/rust"] = pinned
			w.Sources["root"] = map[string]string{"usr/bin/cargo": "#!"}
			c.edit(w.Sources["app"])
			w.Act = func(executor.Request) map[string]string {
				return map[string]string{"build/src/rust/Cargo.lock": "made"}
			}
			var got Crates
			tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				o := InsideOptions{Rustc: "1.80.0", At: "/build/src", Root: engine.Source("root").Step}
				if _, err := insidePlan(o.labelled(), &got)(ctx, ask); err != nil {
					return engine.Step{}, err
				}
				return engine.Merge("both", engine.Part{Step: got.Source, At: "/src"}, engine.Part{Step: got.Layers[0].Step, At: "/crates"}), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := content(t, w, tr, "src/rust/Cargo.lock"); text != "made" {
				t.Errorf("the lock is %q", text)
			}
			if text := content(t, w, tr, "crates/config.toml"); !strings.HasPrefix(text, "[source.crates-io]\nreplace-with = \"vendored-sources\"\n") {
				t.Errorf("the configuration is %q", text)
			}
			if !strings.Contains(w.Paths(tr), "crates/vendor/leaf-1.0.0/src/lib.rs") {
				t.Error(w.Paths(tr))
			}
			asked := ""
			for _, q := range w.Asked {
				asked += strings.Join(q.Request, "|")
			}
			if asked != c.asked {
				t.Errorf("asked for %q, want %q", asked, c.asked)
			}
		})
	}
}
