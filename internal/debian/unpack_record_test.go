//go:build oracle

package debian

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pault.ag/go/debian/version"
)

// TestRecordUnpack has the machine's dpkg unpack every case of unpackOracle and writes down what it leaves; then it
// makes a package of each compression. It needs root. Run it with
//
//	go test -tags oracle -run TestRecordUnpack ./internal/debian
func TestRecordUnpack(t *testing.T) {
	head, cases := readUnpackOracle(t)
	out := []string{head}
	for _, c := range cases {
		got := dpkgUnpacks(t, c.packs)
		back := slices.Clone(c.packs)
		slices.Reverse(back)
		if again := dpkgUnpacks(t, back); !slices.Equal(again, got) {
			got = append([]string{"in this order:"}, append(append(got, "in the other order:"), again...)...)
		}
		lines := slices.DeleteFunc(c.lines, func(l string) bool { return strings.HasPrefix(l, "dpkg ") })
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "hewn ") || strings.HasPrefix(l, "why ") })
		if at < 0 {
			at = len(lines)
		}
		for i, l := range got {
			lines = slices.Insert(lines, at+i, "dpkg "+l)
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	if err := os.WriteFile(unpackOracle, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"none", "gzip", "xz", "zstd"} {
		p := pack{"tiny;Version: 1", []string{"usr/bin/tiny* = " + kind, "usr/lib/tiny -> ../bin/tiny", "etc/tiny.conf = c"}}
		raw, err := os.ReadFile(dpkgBuild(t, t.TempDir(), p, kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/oracle/"+kind+".deb", raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// dpkgBuild makes a package with dpkg-deb.
func dpkgBuild(t *testing.T, dir string, p pack, compression string) string {
	t.Helper()
	name, _, _ := strings.Cut(p.control, ";")
	root := filepath.Join(dir, name)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755))
	control := "Package: " + strings.ReplaceAll(p.control, ";", "\n") + "\nArchitecture: amd64\nMaintainer: Nobody <nobody@debian.example>\nDescription: tiny\n"
	check(os.WriteFile(filepath.Join(root, "DEBIAN/control"), []byte(control), 0o644))
	for _, line := range p.lines {
		file, content, _ := strings.Cut(line, " = ")
		file, target, link := strings.Cut(file, " -> ")
		at := filepath.Join(root, strings.TrimRight(file, "*/"))
		check(os.MkdirAll(filepath.Dir(at), 0o755))
		switch {
		case link:
			check(os.Symlink(target, at))
		case strings.HasSuffix(file, "/"):
			check(os.MkdirAll(at, 0o755))
		case strings.HasSuffix(file, "*"):
			check(os.WriteFile(at, []byte(content), 0o755))
		default:
			check(os.WriteFile(at, []byte(content), 0o644))
		}
	}
	deb := filepath.Join(dir, name+".deb")
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "-Z"+compression, "--build", root, deb)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s", text)
	}
	return deb
}

// dpkgUnpacks gives what dpkg leaves of packages that it unpacks in their order, with the diversions that they declare.
func dpkgUnpacks(t *testing.T, packs []pack) []string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"var/lib/dpkg/updates", "var/lib/dpkg/info"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) error {
		text, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Logf("%s %v: %s", name, args, text)
		}
		return err
	}
	for _, p := range packs {
		name, _, _ := strings.Cut(p.control, ";")
		for _, d := range diversions([]unpacked{{name: name, ver: version.Version{Version: "1"}}}, "x86_64-linux-gnu") {
			if err := run("dpkg-divert", "--root="+root, "--package", d.by, "--add", "--rename", "--divert", "/"+d.to, "/"+d.from); err != nil {
				t.Fatal(err)
			}
		}
		if err := run("dpkg", "--root="+root, "--force-script-chrootless", "--unpack", dpkgBuild(t, dir, p, "none")); err != nil {
			return []string{"refuses"}
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "var")); err != nil {
		t.Fatal(err)
	}
	var lines []string
	err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		name, _ := filepath.Rel(root, at)
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			if below, err := os.ReadDir(at); err != nil || len(below) > 0 {
				return err
			}
			lines = append(lines, name+"/")
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(at)
			lines = append(lines, name+" -> "+target)
			return err
		default:
			b, err := os.ReadFile(at)
			if info.Mode()&0o111 != 0 {
				name += "*"
			}
			lines = append(lines, fmt.Sprintf("%s = %q", strings.TrimSuffix(name, ".dpkg-new"), b))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}
