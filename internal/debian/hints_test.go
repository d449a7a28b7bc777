package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/store/memory"
)

// contents is an index of files as an archive has it.
const contents = `bin/sh-of-old                                           shells/oldsh
etc/xslt-config                                         misc/decoy
lib/x86_64-linux-gnu/libz.so.1                          libs/zlib1g
usr/bin/gcc                                             devel/gcc
usr/bin/krb5-config                                     devel/heimdal-dev,libdevel/libkrb5-dev
usr/bin/mawk                                            interpreters/mawk
usr/bin/pg_config                                       libdevel/libpq-dev
usr/bin/xslt-config                                     libdevel/libxslt1-dev
usr/include/a/types.h                                   libdevel/a-dev
usr/include/b/types.h                                   libdevel/b-dev
usr/include/c/types.h                                   libdevel/c-dev
usr/include/d/types.h                                   libdevel/d-dev
usr/include/e/types.h                                   libdevel/e-dev
usr/include/ffi-private/ffi.h                           libdevel/other-dev
usr/include/eigen3/Eigen/Core                           libdevel/libeigen3-dev
usr/include/python3.13/Python.h                         libdevel/libpython3.13-dev
usr/include/python3.14/Python.h                         libdevel/libpython3.14-dev
usr/include/x86_64-linux-gnu/ffi.h                      libdevel/libffi-dev
usr/include/with space/x.h                              libdevel/space-dev
usr/include/xmlsec1/xmlsec/xmlsec.h                     libdevel/libxmlsec1-dev
usr/lib/python3/dist-packages/libxslt.so                python/decoy
usr/lib/x86_64-linux-gnu/Scrt1.o                        libdevel/libc6-dev
usr/lib/x86_64-linux-gnu/cmake/Foo/FooConfig.cmake      libdevel/libfoo-dev
usr/lib/x86_64-linux-gnu/libonly.a                      libdevel/libonly-dev
usr/lib/x86_64-linux-gnu/libxslt.a                      libdevel/libxslt-static
usr/lib/x86_64-linux-gnu/libxslt.so                     libdevel/libxslt1-dev
usr/lib/x86_64-linux-gnu/pkgconfig/libxml-2.0.pc        libdevel/libxml2-dev
usr/share/doc/x/xslt-config                             doc/decoy
usr/share/pkgconfig/xproto.pc                           x11/x11proto-dev
`

// withContents adds an index of files to a suite that newResolver serves.
func withContents(t *testing.T, f *fakeMirror, r *Resolver, suite string, spoil func([]byte) []byte) {
	t.Helper()
	key := newKey(t, 0)
	raw := zipped(contents)
	dist := mirror + "/dists/" + suite + "/"
	packages := zipped(packagesText("bash 1"))
	f.files[dist+"InRelease"] = sign(t, releaseText(suite, "name-of-"+suite, map[string][]byte{"main/binary-amd64/Packages.gz": packages, "main/Contents-amd64.gz": raw}), key)
	f.files[dist+"main/binary-amd64/Packages.gz"] = packages
	f.files[dist+fmt.Sprintf("main/by-hash/SHA256/%x", sha256.Sum256(raw))] = spoil(raw)
	r.Keyring = func() ([]byte, error) { return public(t, key), nil }
}

func nothing(string) bool { return false }

func same1(b []byte) []byte { return b }

func TestHints(t *testing.T) {
	r, f := newResolver(t, map[string][]string{"testing": {"bash 1"}})
	withContents(t, f, r, "testing", same1)
	r.Suites = []string{"testing"}
	dir := t.TempDir()
	if err := r.UpdateFiles(context.Background(), dir, "amd64"); err != nil {
		t.Fatal(err)
	}
	one := func(pkg, what string) string {
		return "the Debian package " + pkg + " has `" + what + "`: add it to the root in which this is built"
	}
	for log, want := range map[string]string{
		"src/x.c:3:10: fatal error: xmlsec/xmlsec.h: No such file or directory":                                           one("libxmlsec1-dev", "xmlsec/xmlsec.h"),
		"x.c:3:10: fatal error: 'xmlsec/xmlsec.h' file not found":                                                         one("libxmlsec1-dev", "xmlsec/xmlsec.h"),
		"x.cc:1:10: fatal error: Eigen/Core: No such file or directory":                                                   one("libeigen3-dev", "Eigen/Core"),
		"x.c:1:10: fatal error: ffi.h: No such file or directory":                                                         one("libffi-dev", "ffi.h"),
		"x.c:1:10: fatal error: Python.h: No such file or directory":                                                      "the Debian packages libpython3.13-dev and libpython3.14-dev have `Python.h`: add one of them to the root in which this is built",
		"gcc -O2 -I/usr/include/python3.14 -c x.c\nx.c:1:10: fatal error: Python.h: No such file or directory":            one("libpython3.14-dev", "Python.h"),
		"x.c:1:10: fatal error: types.h: No such file or directory":                                                       "",
		"x.c:1:10: fatal error: own/nobody.h: No such file or directory":                                                  "",
		"/usr/bin/ld: cannot find -lxslt: No such file or directory":                                                      one("libxslt1-dev", "-lxslt"),
		"ld.lld: error: unable to find library -lonly":                                                                    one("libonly-dev", "-lonly"),
		"mold: fatal: library not found: xslt":                                                                            one("libxslt1-dev", "-lxslt"),
		"/usr/bin/ld: cannot find Scrt1.o: No such file or directory":                                                     one("libc6-dev", "Scrt1.o"),
		"ImportError: libz.so.1: cannot open shared object file: No such file or directory":                               one("zlib1g", "libz.so.1"),
		"/opt/app/bin/tool needs libz.so.1":                                                                               one("zlib1g", "libz.so.1"),
		"/opt/my app/bin/tool needs libz.so.1":                                                                            one("zlib1g", "libz.so.1"),
		"/opt/app/bin/tool needs libnobody.so.1":                                                                          "",
		"Package 'libxml-2.0', required by 'virtual:world', not found":                                                    one("libxml2-dev", "libxml-2.0.pc"),
		"Package libxml-2.0 was not found in the pkg-config search path.":                                                 one("libxml2-dev", "libxml-2.0.pc"),
		"No package 'libxml-2.0' found":                                                                                   one("libxml2-dev", "libxml-2.0.pc"),
		"pkgconfig.pkgconfig.PackageNotFoundError: libxml-2.0 not found":                                                  one("libxml2-dev", "libxml-2.0.pc"),
		"The file `xproto.pc` needs to be installed and the PKG_CONFIG_PATH environment variable must contain its place.": one("x11proto-dev", "xproto.pc"),
		`meson.build:3:0: ERROR: Dependency "libxml-2.0" not found, tried pkgconfig and cmake`:                            one("libxml2-dev", "libxml-2.0.pc"),
		"  Could not find a package configuration file provided by \"Foo\":\n\n    FooConfig.cmake\n    foo-config.cmake": one("libfoo-dev", "FooConfig.cmake"),
		"/bin/sh: 1: xslt-config: not found":                                                                              one("libxslt1-dev", "xslt-config"),
		"./configure: line 12: xslt-config: command not found":                                                            one("libxslt1-dev", "xslt-config"),
		"bash: xslt-config: command not found":                                                                            one("libxslt1-dev", "xslt-config"),
		"sh: 1: krb5-config: not found":                                                                                   "the Debian packages heimdal-dev and libkrb5-dev have `krb5-config`: add one of them to the root in which this is built",
		"Error: pg_config executable not found.":                                                                          one("libpq-dev", "pg_config"),
		"error: command 'gcc' failed: No such file or directory":                                                          one("gcc", "gcc"),
		"error: command '/usr/bin/gcc' failed: No such file or directory":                                                 one("gcc", "gcc"),
		"make[2]: gcc: No such file or directory":                                                                         one("gcc", "gcc"),
		"/usr/bin/env: ‘mawk’: No such file or directory":                                                                 one("mawk", "mawk"),
		"FileNotFoundError: [Errno 2] No such file or directory: 'gcc'":                                                   one("gcc", "gcc"),
		`cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH`:                                one("gcc", "gcc"),
		"error: linker `cc` not found":                                                                                    one("gcc", "cc"),
		"sh: 1: awk: not found":                                                                                           one("mawk", "awk"),
		"sh: 1: sh-of-old: not found":                                                                                     one("oldsh", "sh-of-old"),
		"Error: Please make sure the libonly and libxslt development packages are installed.":                             one("libonly-dev", "-lonly") + "\n" + one("libxslt1-dev", "-lxslt"),
		"test/missing.h: 3 tests found":                                                                                   "",
		"gcc: not found\n" + strings.Repeat("x", 100_000) + "\nsh: 1: gcc: not found":                                     one("gcc", "gcc"),
		"sh: 1: gcc: not found\nx.c:1:2: fatal error: ffi.h: No such file or directory\nsh: 2: gcc: not found\n":          one("libffi-dev", "ffi.h") + "\n" + one("gcc", "gcc"),
	} {
		if got := strings.Join(Hints(dir, linux, strings.NewReader(log), nothing), "\n"); got != want {
			t.Errorf("%.80q: got %q, want %q", log, got, want)
		}
	}
	if got := Hints(t.TempDir(), linux, strings.NewReader("sh: 1: gcc: not found"), nothing); got != nil {
		t.Errorf("without a list: %q", got)
	}
	want := []string{"to be told which Debian package has `-lxslt`: `hewn update --missing`, then build again"}
	if d := cmp.Diff(want, Hints(t.TempDir(), linux, strings.NewReader("ld: cannot find -lxslt"), nothing)); d != "" {
		t.Error(d)
	}
}

// What has a package that is in the root already was missed for another reason.
func TestHintsKnowTheRoot(t *testing.T) {
	ctx, st := context.Background(), memory.New()
	root, err := mergeAll(t, st, pack{"libkrb5-dev;Version: 1", nil})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var list bytes.Buffer
	if err := filterFiles(&list, strings.NewReader(contents)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files-testing-amd64.gz"), zipped(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	log := "sh: 1: krb5-config: not found\nsh: 1: xslt-config: not found\n"
	want := []string{"the Debian package libxslt1-dev has `xslt-config`: add it to the root in which this is built"}
	if d := cmp.Diff(want, Hints(dir, linux, strings.NewReader(log), Installed(ctx, st, root))); d != "" {
		t.Error(d)
	}
}

func TestUpdateFiles(t *testing.T) {
	ctx := context.Background()
	r, f := newResolver(t, map[string][]string{"stable": {"bash 1"}, "testing": {"bash 1"}})
	withContents(t, f, r, "testing", same1)
	if _, err := r.Resolve(ctx, ask("package bash", "suite testing")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "debian")
	if err := r.UpdateFiles(ctx, dir, "amd64"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "files-testing-amd64.gz")
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	asked := func() int { return len(f.asked) }
	before := asked()
	r.Now = func() time.Time { return st.ModTime().Add(fileListAge - time.Hour) }
	if err := r.UpdateFiles(ctx, dir, "amd64"); err != nil || asked() != before {
		t.Errorf("a young list was asked for again (%v)", err)
	}
	r.MaxIndexAge = -1
	r.Now = func() time.Time { return st.ModTime().Add(fileListAge + time.Hour) }
	if err := r.UpdateFiles(ctx, dir, "amd64"); err != nil || asked() == before {
		t.Errorf("an old list was not asked for again (%v)", err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 {
		t.Errorf("%d files lie in the directory, want the list alone", len(left))
	}
}

func TestUpdateFilesRefuses(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"swapped":   func([]byte) []byte { return zipped("usr/bin/evil devel/evil\n") },
		"longer":    func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		"truncated": func(b []byte) []byte { return b[:len(b)-10] },
		"no gzip":   func([]byte) []byte { return []byte("usr/bin/evil devel/evil\n") },
		"long line": func([]byte) []byte { return zipped("usr/bin/" + strings.Repeat("x", maxFileLine) + " devel/x\n") },
	} {
		r, f := newResolver(t, map[string][]string{"testing": {"bash 1"}})
		withContents(t, f, r, "testing", spoil)
		r.Suites = []string{"testing"}
		dir := t.TempDir()
		err := r.UpdateFiles(context.Background(), dir, "amd64")
		if left, _ := os.ReadDir(dir); err == nil || len(left) != 0 {
			t.Errorf("%s: got %v, and %d files", name, err, len(left))
		}
	}
	r, _ := newResolver(t, map[string][]string{"testing": {"bash 1"}})
	r.Suites = []string{"testing"}
	if err := r.UpdateFiles(context.Background(), t.TempDir(), "amd64"); err != nil {
		t.Errorf("an archive without an index of files: %v", err)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(contents), "x.c:1:2: fatal error: ffi.h: No such file or directory\nsh: 1: cc: not found\nld: cannot find -lxslt")
	f.Fuzz(func(t *testing.T, index []byte, log string) {
		var b bytes.Buffer
		if err := filterFiles(&b, bytes.NewReader(index)); err != nil {
			return
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "files-x-amd64.gz"), zipped(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Hints(dir, linux, strings.NewReader(log), nothing); len(got) > maxMissed {
			t.Errorf("%d hints", len(got))
		}
	})
}
