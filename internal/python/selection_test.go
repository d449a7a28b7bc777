package python

import (
	"strings"
	"testing"

	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/platform"
)

// hash is what every file of these locks has.
const hash = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

func registry(name, version, files string, rest ...string) string {
	out := "[[package]]\nname = \"" + name + "\"\nversion = \"" + version + "\"\nsource = { registry = \"https://pypi.example/simple\" }\n"
	wheels := ""
	for _, f := range strings.Fields(files) {
		line := "{ url = \"https://files.pypi.example/" + f + "\", hash = \"" + hash + "\" }"
		if strings.HasSuffix(f, ".whl") {
			wheels += "    " + line + ",\n"
		} else {
			out += "sdist = " + line + "\n"
		}
	}
	if wheels != "" {
		out += "wheels = [\n" + wheels + "]\n"
	}
	return out + strings.Join(rest, "\n") + "\n"
}

const lockHead = "version = 1\nrevision = 3\nrequires-python = \">=3.13\"\n"

const rootPackage = `[[package]]
name = "root"
version = "0"
source = { virtual = "." }
dependencies = [
    { name = "app", extra = ["fast"] },
    { name = "win", marker = "sys_platform == 'win32'" },
    { name = "num", version = "1.0", source = { registry = "https://pypi.example/simple" }, marker = "python_full_version < '3.14'" },
    { name = "num", version = "2.0", source = { registry = "https://pypi.example/simple" }, marker = "python_full_version >= '3.14'" },
    { name = "member" },
]

[package.optional-dependencies]
saml = [{ name = "xml" }]
cpu = [{ name = "torch", version = "1+cpu", source = { registry = "https://pypi.example/simple" }, marker = "extra == 'extra-4-root-cpu'" }]
gpu = [{ name = "torch", version = "1", source = { registry = "https://pypi.example/simple" } }]

[package.dev-dependencies]
dev = [{ name = "test-tool" }]
docs = [{ name = "forked" }]
`

func sampleLock() string {
	return lockHead + "conflicts = [[\n    { package = \"root\", extra = \"cpu\" },\n    { package = \"root\", extra = \"gpu\" },\n]]\n\n" + strings.Join([]string{
		registry("app", "1", "app-1-py3-none-any.whl app-1.tar.gz",
			"dependencies = [{ name = \"base\" }]\n[package.optional-dependencies]\nfast = [{ name = \"speed\", marker = \"platform_machine == 'x86_64'\" }, { name = \"base\", extra = [\"more\"] }]"),
		registry("base", "1", "base-1-py3-none-any.whl", "[package.optional-dependencies]\nmore = [{ name = \"app\" }]"),
		registry("forked", "1", "forked-1-py3-none-any.whl", "resolution-markers = [\"platform_machine == 'aarch64'\"]"),
		registry("forked", "2", "forked-2-py3-none-any.whl", "resolution-markers = [\"platform_machine != 'aarch64'\"]"),
		"[[package]]\nname = \"member\"\nversion = \"0.1\"\nsource = { editable = \"packages/member\" }\ndependencies = [{ name = \"repo\" }]\n",
		registry("num", "1.0", "num-1.0-py3-none-any.whl"),
		registry("num", "2.0", "num-2.0-py3-none-any.whl"),
		"[[package]]\nname = \"repo\"\nversion = \"3\"\nsource = { git = \"https://git.example/repo?rev=v3#0123456789abcdef0123456789abcdef01234567\" }\n",
		rootPackage,
		registry("speed", "1", "speed-1-cp314-cp314-manylinux_2_17_x86_64.whl speed-1-cp313-cp313-manylinux_2_17_x86_64.whl"),
		registry("test-tool", "1", "test_tool-1-py3-none-any.whl"),
		registry("torch", "1", "torch-1-py3-none-any.whl"),
		registry("torch", "1+cpu", "torch-1+cpu-py3-none-any.whl"),
		registry("win", "1", "win-1-py3-none-win_amd64.whl"),
		registry("xml", "1", "xml-1.tar.gz"),
	}, "\n")
}

func choice(t *testing.T, text string, r Request) string {
	t.Helper()
	l, err := uv.Read("uv.lock", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sel, err := Select(l, r)
	if err != nil {
		return "error: " + err.Error()
	}
	var parts []string
	for _, s := range sel {
		from := "build"
		if s.Wheel != nil {
			from = strings.TrimSuffix(strings.TrimPrefix(s.Wheel.Name, strings.ReplaceAll(s.Name, "-", "_")+"-"), ".whl")
		}
		parts = append(parts, strings.Join(append([]string{s.Name}, s.Extras...), "+")+"="+from)
	}
	return strings.Join(parts, " ")
}

func TestSelect(t *testing.T) {
	amd := platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}
	arm := platform.Platform{OS: "linux", Arch: "arm64", Libc: "glibc"}
	for _, tc := range []struct {
		name string
		r    Request
		want string
	}{
		{"plain", Request{Python: "3.14.8", Platform: amd}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build speed=1-cp314-cp314-manylinux_2_17_x86_64"},
		{"other Python", Request{Python: "3.13.1", Platform: amd}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=1.0-py3-none-any repo=build speed=1-cp313-cp313-manylinux_2_17_x86_64"},
		{"other platform", Request{Python: "3.14.8", Platform: arm}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build"},
		{"group", Request{Python: "3.14.8", Platform: arm, Groups: []string{"Dev"}}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build test-tool=1-py3-none-any"},
		{"fork", Request{Python: "3.14.8", Platform: arm, Groups: []string{"docs"}}, "app+fast=1-py3-none-any base+more=1-py3-none-any forked=1-py3-none-any member=build num=2.0-py3-none-any repo=build"},
		{"extra from sdist", Request{Python: "3.14.8", Platform: arm, Extras: []string{"saml"}}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build xml=build"},
		{"no binary", Request{Python: "3.14.8", Platform: arm, NoBinary: []string{"app"}}, "app+fast=build base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build"},
		{"conflicting extra", Request{Python: "3.14.8", Platform: arm, Extras: []string{"cpu"}}, "app+fast=1-py3-none-any base+more=1-py3-none-any member=build num=2.0-py3-none-any repo=build torch=1+cpu-py3-none-any"},
		{"only one", Request{Python: "3.14.8", Platform: arm, Only: []string{"App"}}, "app+fast=1-py3-none-any base+more=1-py3-none-any"},
		{"only what is needed", Request{Python: "3.14.8", Platform: arm, Only: []string{"xml"}}, "error: uv.lock: `only` names `xml`, which the environment does not need"},
		{"both of a conflict", Request{Python: "3.14.8", Platform: arm, Extras: []string{"cpu", "gpu"}}, "error: uv.lock: `conflicts`: extra `cpu` and extra `gpu` exclude one another"},
		{"no sdist", Request{Python: "3.14.8", Platform: arm, NoBinary: []string{"num"}}, "`num` 2.0 is to be built from source, but the lock has no sdist of it"},
		{"no wheel", Request{Python: "3.15.0", Platform: amd}, "`speed` 1 has no wheel for Python 3.15.0 on linux/amd64 and no sdist"},
		{"wrong Python", Request{Python: "3.12.1", Platform: amd}, "error: uv.lock:3:19: `requires-python`: the lock is for Python >=3.13, but the root has Python 3.12.1"},
		{"unknown extra", Request{Python: "3.14.8", Platform: amd, Extras: []string{"x"}}, "`package.root`: `root` has no extra `x`"},
		{"unknown group", Request{Python: "3.14.8", Platform: amd, Groups: []string{"x"}}, "`root` has no dependency group `x`"},
		{"not a platform", Request{Python: "3.14.8", Platform: platform.Platform{OS: "darwin", Arch: "arm64"}}, "error: python: platform darwin/arm64 is not supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := choice(t, sampleLock(), tc.r)
			if got != tc.want && !(strings.HasPrefix(got, "error") && strings.Contains(got, tc.want)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestSelectBadLocks(t *testing.T) {
	root := func(deps string) string {
		return lockHead + "[[package]]\nname = \"root\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [\n    " + deps + "\n]\n"
	}
	for _, tc := range []struct{ name, lock, want string }{
		{"dangling", root("{ name = \"ghost\" }"), "error: uv.lock:9:5: `package.root.dependencies`: the lock needs `ghost`  but has no such package for this platform"},
		{"bad marker", root("{ name = \"ghost\", marker = \"x\" }"), "error: uv.lock:9:5: `package.root.dependencies`: marker of `ghost`: \"x\": want a variable of PEP 508 or a quoted text at character 1"},
		{"ambiguous", root("{ name = \"a\" }") + registry("a", "1", "a-1.zip") + registry("a", "2", "a-2.zip"), "error: uv.lock:9:5: `package.root.dependencies`: the lock has 2 packages that `a` could mean"},
		{"two versions", root("{ name = \"a\", version = \"1\" }, { name = \"a\", version = \"2\" }") + registry("a", "1", "a-1.zip") + registry("a", "2", "a-2.zip"), "two versions of `a` are wanted at once, 1 and 2"},
		{"bad python", strings.Replace(root(""), ">=3.13", "newest", 1), "error: uv.lock:3:19: `requires-python`: version specifier \"newest\" has no operator"},
	} {
		if got := choice(t, tc.lock, Request{Python: "3.14.8", Platform: platform.Platform{OS: "linux", Arch: "amd64"}}); !strings.Contains(got, tc.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
	// A workspace without a root project: its members are what is wanted.
	lock := lockHead + "[manifest]\nmembers = [\"m\"]\n[[package]]\nname = \"m\"\nversion = \"1\"\nsource = { editable = \"m\" }\ndependencies = [{ name = \"a\" }]\n" + registry("a", "1", "a-1.zip") + registry("b", "1", "b-1.zip")
	if got := choice(t, lock, Request{Python: "3.14.8", Platform: platform.Host()}); got != "a=build m=build" {
		t.Error(got)
	}
}
