package rust

import (
	"context"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
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
		"outside": {func(s map[string]string) {
			s["rust/Cargo.toml"] += "[patch.x]\n"
			s["rust/inner/Cargo.toml"] += "up = { path = \"../../../up\" }\n"
		}, InsideOptions{Rustc: "1.80.0"}, "`inner` needs `up` from `../up`"},
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
			if err == nil && len(got.Layers) > 0 && (got.Layers[0].At != "/usr/local/cargo" || got.Env["CARGO_NET_OFFLINE"] != "true" || !got.Locked) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func (o InsideOptions) labelled() InsideOptions { o.Label = "app 1"; return o }
