package rust

import (
	"strings"
	"testing"
)

// TestSound: what rustup or cargo would refuse in files beside the manifests of packages.
func TestSound(t *testing.T) {
	file := func(name, text string) []string { return []string{name, "", text} }
	for name, c := range map[string]lockCase{
		"a member that is not there":     {base: "workspace", edit: []string{"Cargo.toml", "[workspace]\n", "[workspace]\nmembers = [\"none\"]\n"}, want: "app/Cargo.toml:8:1: `workspace.members`: target it: the workspace has the member `none`, where there is no Cargo.toml"},
		"a pattern of members":           {base: "workspace", edit: []string{"Cargo.toml", "[workspace]\n", "[workspace]\nmembers = [\"in*\"]\n"}},
		"a patch that is not there":      {base: "plain", edit: []string{"Cargo.toml", "[dependencies]\n", "[patch.default]\nleaf = { path = \"leaf\" }\n[dependencies]\n"}, want: "app/Cargo.toml:6:8: `patch.default.leaf`: target it: `leaf` is patched by `leaf`, where there is no Cargo.toml"},
		"a toolchain":                    {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\nchannel = \"1.80\"\nprofile = \"minimal\"\n")},
		"stable":                         {base: "plain", edit: file("rust-toolchain", "stable-x86_64-unknown-linux-gnu\n")},
		"components only":                {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\ncomponents = [\"clippy\"]\n")},
		"a channel that is a number":     {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\nchannel = 1.80\n"), want: "app/rust-toolchain.toml:2:11: `toolchain.channel`: target it: the channel is no string"},
		"a channel that nobody has":      {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\nchannel = \"foo/bar\"\n"), want: "app/rust-toolchain.toml:2:11: `toolchain.channel`: target it: the source asks for Rust `foo/bar`, which is no release"},
		"the old form, of two words":     {base: "plain", edit: file("rust-toolchain", "\n\nfoo bar\n"), want: "app/rust-toolchain:1: target it: the source asks for Rust `foo bar`, which is no release"},
		"a toolchain of a directory":     {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\npath = \"/opt/rust\"\n"), want: "app/rust-toolchain.toml:2:8: `toolchain.path`: target it: the source asks for the Rust in `/opt/rust`, which a build does not see"},
		"a toolchain file about nothing": {base: "plain", edit: file("rust-toolchain.toml", "[toolchain]\n"), want: "app/rust-toolchain.toml:1:2: `toolchain`: target it: rust-toolchain.toml names no channel"},
	} {
		t.Run(name, func(t *testing.T) {
			text := ""
			if err := lockVerdict(t, c); err != nil {
				text = err.Error()
			}
			if (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}
