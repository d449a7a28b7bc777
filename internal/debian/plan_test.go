package debian

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/source"
)

func TestQuestion(t *testing.T) {
	q, err := RootOptions{Name: "r", Packages: []string{"b", "a (>= 1)", "b"}, Exclude: []string{"y", "x"}, Essential: true, Suite: "testing", Docs: true,
		Users: []User{{Name: "u"}}}.question(linux)
	want := []string{"essential", "exclude x", "exclude y", "package a (>= 1)", "package b", "suite testing"}
	if d := cmp.Diff(want, q.Request); err != nil || d != "" || q.Set != "root/r" || q.Platform != linux || q.Ecosystem != source.Debian {
		t.Error(err, d, q)
	}
	for _, o := range []RootOptions{{Name: "r"}, {Packages: []string{"a"}}, {Name: "r", Packages: []string{"a b"}}} {
		if _, err := o.question(linux); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
}

func TestPlan(t *testing.T) {
	as := []source.Artifact{{Ecosystem: source.Debian, Name: "bash", Version: "1", File: "bash.deb"}, {Ecosystem: source.Debian, Name: "libc6", Version: "2", File: "libc6.deb"}}
	plain := plan(RootOptions{Name: "plain"}, linux, as)
	if plain.Root.ID() != plain.Base.ID() || plain.Versions["libc6"] != "2" {
		t.Error("a root without tools of its own has nothing to run")
	}
	full := plan(RootOptions{Name: "full"}, linux, append(as, source.Artifact{Ecosystem: source.Debian, Name: "libc-bin", Version: "2", File: "x.deb"}))
	if full.Root.ID() == full.Base.ID() {
		t.Error("the linker cache is missing")
	}
	if _, static := full.Root.Static(); static {
		t.Error("a root with actions must not be static")
	}
}

func TestCaches(t *testing.T) {
	var got []string
	for _, c := range caches(map[string]string{"libc-bin": "", "python3.14-minimal": "", "python3.14": "", "python3-minimal": "", "fontconfig": "", "shared-mime-info": "", "bash": ""}) {
		got = append(got, fmt.Sprintf("%s: %s => %s", c.label, strings.Join(c.command.Args, " "), strings.Join(c.command.Outputs, " ")))
	}
	golden(t, "caches.txt", strings.Join(got, "\n")+"\n")
}

func TestArchitectures(t *testing.T) {
	for goarch, want := range map[string]string{"amd64": "amd64 x86_64-linux-gnu", "arm64": "arm64 aarch64-linux-gnu", "386": "i386 i386-linux-gnu", "arm": "armhf arm-linux-gnueabihf",
		"ppc64le": "ppc64el powerpc64le-linux-gnu", "riscv64": "riscv64 riscv64-linux-gnu", "s390x": "s390x s390x-linux-gnu"} {
		p := linux
		p.Arch = goarch
		if got := Arch(p) + " " + Triplet(Arch(p)); got != want {
			t.Errorf("%s: got %s, want %s", goarch, got, want)
		}
	}
}
