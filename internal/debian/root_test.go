package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "write the goldens")

func golden(t *testing.T, name, got string) {
	t.Helper()
	p := "testdata/" + name
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", p, d)
	}
}

// tarball packs lines: `path`, `path*` (executable), `path/`, `path -> target`, `path = content`.
func tarball(t testing.TB, lines ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, line := range lines {
		h := tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
		p, content, _ := strings.Cut(line, " = ")
		p, h.Linkname, _ = strings.Cut(p, " -> ")
		switch {
		case h.Linkname != "":
			h.Typeflag = tar.TypeSymlink
		case strings.HasSuffix(p, "/"):
			h.Typeflag = tar.TypeDir
		case strings.HasSuffix(p, "*"):
			p, h.Mode = strings.TrimSuffix(p, "*"), 0o755
		}
		h.Name, h.Size = "./"+p, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func arMember(name string, content []byte) string {
	s := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 0, 0, 0, "100644", len(content), content)
	return s + strings.Repeat("\n", len(content)%2)
}

func deb(control string, data []byte, t testing.TB) []byte {
	return []byte("!<arch>\n" + arMember("debian-binary", []byte("2.0\n")) + arMember("control.tar.gz", zipped(string(tarball(t, "control = "+control)))) +
		arMember("data.tar", data))
}

// unpack makes a package of lines and unpacks it.
func unpack(t testing.TB, st store.Store, control string, lines ...string) (tree.Tree, error) {
	t.Helper()
	return unpackRaw(t, st, deb("Package: "+strings.Replace(control, ";", "\n", -1)+"\n", tarball(t, lines...), t), "{}")
}

func unpackRaw(t testing.TB, st store.Store, raw []byte, params string) (tree.Tree, error) {
	t.Helper()
	ctx := context.Background()
	d, err := st.Put(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	in, err := st.PutDirectory(ctx, &tree.Directory{Files: []tree.File{{Name: "x_1_amd64.deb", Digest: d}}})
	if err != nil {
		t.Fatal(err)
	}
	return runUnpack(ctx, engine.NativeCall{Params: json.RawMessage(params), Inputs: []tree.Tree{in}, Store: st})
}

// show lists a tree as tarball reads it.
func show(t testing.TB, st store.Store, tr tree.Tree) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	err := tree.Walk(ctx, st, tr, func(p string, e tree.Entry) error {
		switch e.Kind {
		case tree.KindLink:
			fmt.Fprintf(&b, "%s -> %s\n", p, e.Target)
		case tree.KindDir:
			if e.Tree == tree.Empty {
				fmt.Fprintf(&b, "%s/\n", p)
			}
		default:
			c, err := store.ReadBlob(ctx, st, e.Digest, 1<<20)
			if err != nil {
				return err
			}
			x := ""
			if e.Executable {
				x = "*"
			}
			if s := fmt.Sprintf("%q", c); len(s) < 60 {
				fmt.Fprintf(&b, "%s%s = %s\n", p, x, s)
			} else {
				fmt.Fprintf(&b, "%s%s = %d bytes\n", p, x, len(c))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnpack(t *testing.T) {
	st := memory.New()
	lines := []string{"./", "bin -> usr/bin", "lib64/", "bin/sh* = #!", "lib/x86_64-linux-gnu/libz.so.1 = z", "usr/lib/x86_64-linux-gnu/libz.so -> /lib/x86_64-linux-gnu/libz.so.1",
		"sbin/up -> ../etc/up", "etc/alternatives/x -> /usr/bin/x", "usr/lib/y -> ../share/y", "usr/share/doc/p/", "usr/share/doc/p/copyright = c", "usr/share/doc/p/README = r",
		"usr/share/man/man1/p.1.gz = m", "usr/share/locale/de/p.mo = l", "usr/share/locale/locale.alias = a", "usr/share/postgresql/18/man/x = x", "var/run/", "var/run/p/", "var/lock/", "var/mail -> /var/run/mail", "usr/share/postgresql/18/postgres.bki = b"}
	tr, err := unpack(t, st, "p;Version: 1", lines...)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "unpack.txt", show(t, st, tr))
	tr, err = unpackRaw(t, st, deb("Package: p\nVersion: 1\n", tarball(t, lines...), t), `{"docs":true}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"usr/share/doc/p/README", "usr/share/man/man1/p.1.gz", "usr/share/locale/de/p.mo"} {
		if _, err := tree.Lookup(context.Background(), st, tr, p); err != nil {
			t.Error(err)
		}
	}
}

func TestUnpackAttacks(t *testing.T) {
	ar := func(members ...string) []byte { return []byte("!<arch>\n" + strings.Join(members, "")) }
	version := arMember("debian-binary", []byte("2.0\n"))
	control := arMember("control.tar", tarball(t, "control = Package: p\nVersion: 1\n"))
	for name, raw := range map[string][]byte{
		"no ar":              []byte("PK"),
		"another format":     ar(arMember("debian-binary", []byte("3.0\n")), control, arMember("data.tar", tarball(t))),
		"no data":            ar(version, control),
		"no control":         ar(version, arMember("data.tar", tarball(t))),
		"bad package name":   deb("Package: ../../x\n", tarball(t), t),
		"parent path":        deb("Package: p\n", tarball(t, "../x = "), t),
		"through a link":     deb("Package: p\n", tarball(t, "l -> /etc", "l/x = "), t),
		"truncated data":     deb("Package: p\n", tarball(t, "a = 123")[:514], t),
		"truncated file":     deb("Package: p\n", tarball(t, "a = 123"), t)[:1200],
		"compressed rubbish": ar(version, control, arMember("data.tar.xz", []byte("\xfd7zXZ\x00rubbish"))),
	} {
		_, err := unpackRaw(t, memory.New(), raw, "{}")
		var p *diag.Problem
		if !errors.As(err, &p) || p.Kind != diag.BadInput || !strings.Contains(err.Error(), "x_1_amd64.deb") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := unpack(t, memory.New(), "p", "../x = ")
	if !errors.Is(err, archive.ErrParent) {
		t.Error(err)
	}
}

// pack is one package of a merge: its control fields and its lines.
type pack struct {
	control string
	lines   []string
}

func mergeAll(t *testing.T, st store.Store, packs ...pack) (tree.Tree, error) {
	t.Helper()
	var trees []tree.Tree
	for _, p := range packs {
		tr, err := unpack(t, st, p.control, p.lines...)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tr)
	}
	return mergePackages(context.Background(), st, "amd64", trees)
}

func TestMergePackages(t *testing.T) {
	for _, c := range []struct {
		name  string
		packs []pack
		want  string
	}{
		{"shared directories and equal files", []pack{{"a;Version: 1", []string{"usr/x/1 = one", "usr/same = s"}}, {"b;Version: 1", []string{"usr/x/2 = two", "usr/same = s", "e/"}}},
			"e/\nusr/same = \"s\"\nusr/x/1 = \"one\"\nusr/x/2 = \"two\"\n"},
		{"replaces", []pack{{"a;Version: 1", []string{"f = old"}}, {"b;Version: 1;Replaces: a", []string{"f = new"}}}, "f = \"new\"\n"},
		{"replaces, asked for first", []pack{{"b;Version: 1;Replaces: x, a (<< 2)", []string{"f = new"}}, {"a;Version: 1", []string{"f = old"}}}, "f = \"new\"\n"},
		{"diversion", []pack{{"postgresql-common;Version: 1", []string{"usr/bin/pg_config = perl"}}, {"libpq-dev;Version: 1", []string{"usr/bin/pg_config = real", "usr/bin/x = x"}}},
			"usr/bin/pg_config = \"perl\"\nusr/bin/pg_config.libpq-dev = \"real\"\nusr/bin/x = \"x\"\n"},
		{"diversion of a name that holds a version", []pack{{"vim-tiny;Version: 2:9.2.0858-1", []string{"usr/share/vim/vim92/doc/help.txt = tiny"}}, {"vim-runtime;Version: 2:9.2.0858-1", []string{"usr/share/vim/vim92/doc/help.txt = all"}},
			{"python3.14-minimal;Version: 1", []string{"usr/bin/python3.14 = pie"}}, {"python3.14-nopie;Version: 1", []string{"usr/bin/python3.14 = fast"}}},
			"usr/bin/python3.14 = \"fast\"\nusr/bin/python3.14-pie = \"pie\"\nusr/share/vim/vim92/doc/help.txt = \"all\"\nusr/share/vim/vim92/doc/help.txt.vim-tiny = \"tiny\"\n"},
		{"diversion behind a triplet", []pack{{"binutils-x86-64-linux-gnu;Version: 1", []string{"usr/bin/x86_64-linux-gnu-nm = one"}}, {"binutils-multiarch;Version: 1", []string{"usr/bin/x86_64-linux-gnu-nm = many"}}},
			"usr/bin/x86_64-linux-gnu-nm = \"many\"\nusr/bin/x86_64-linux-gnu-nm.single = \"one\"\n"},
		{"diversion without the other", []pack{{"libpq-dev;Version: 1", []string{"usr/bin/pg_config = real"}}}, "usr/bin/pg_config = \"real\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := memory.New()
			tr, err := mergeAll(t, st, c.packs...)
			if err != nil {
				t.Fatal(err)
			}
			if tr, err = tree.Remove(context.Background(), st, tr, "var/lib/dpkg"); err != nil {
				t.Fatal(err)
			}
			got := strings.Replace(show(t, st, tr), "var/lib/\n", "", 1)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMergeOverlaps(t *testing.T) {
	for name, packs := range map[string][]pack{
		"other content":            {{"a;Version: 1", []string{"etc/f = 1"}}, {"b;Version: 1", []string{"etc/f = 2"}}},
		"other mode":               {{"a;Version: 1", []string{"etc/f = 1"}}, {"b;Version: 1", []string{"etc/f* = 1"}}},
		"file and directory":       {{"a;Version: 1", []string{"etc/f = 1"}}, {"b;Version: 1", []string{"etc/f/x = 1"}}},
		"replaces another version": {{"a;Version: 2", []string{"etc/f = 1"}}, {"b;Version: 1;Replaces: a (<< 2)", []string{"etc/f = 2"}}},
		"one of three does not":    {{"a;Version: 1", []string{"etc/f = 1"}}, {"b;Version: 1;Replaces: a", []string{"etc/f = 2"}}, {"c;Version: 1", []string{"etc/f = 3"}}},
	} {
		_, err := mergeAll(t, memory.New(), packs...)
		var p *diag.Problem
		if !errors.As(err, &p) || !strings.Contains(p.What, "packages a and ") || !strings.Contains(p.What, "/etc/f") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := mergeAll(t, memory.New(), pack{"a;Version: 1", nil}, pack{"a;Version: 1", nil}); err == nil {
		t.Error("a package twice was accepted")
	}
}

// Directories that one package alone has must not be read.
func TestMergeIsLazy(t *testing.T) {
	st := memory.New()
	var trees []tree.Tree
	for i := range 50 {
		tr, err := unpack(t, st, fmt.Sprintf("p%d;Version: 1", i), fmt.Sprintf("usr/lib/p%d/deep/er/f = %d", i, i))
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tr)
	}
	counted := &countingStore{Store: st}
	if _, err := mergePackages(context.Background(), counted, "amd64", trees); err != nil {
		t.Fatal(err)
	}
	// A package: its root, usr and usr/lib, the five levels from the root to its control file to know which it is, and
	// four of them again to merge.
	if limit := 50 * 12; counted.reads > limit {
		t.Errorf("%d directories were read, want at most %d", counted.reads, limit)
	}
}

type countingStore struct {
	store.Store
	reads int
}

func (c *countingStore) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	c.reads++
	return c.Store.Directory(ctx, t)
}

// completed unpacks, merges and completes, and gives the root and what was added.
func completed(t *testing.T, st store.Store, p rootParams, packs ...pack) (root tree.Tree, added string) {
	t.Helper()
	ctx := context.Background()
	m, err := mergeAll(t, st, packs...)
	if err != nil {
		t.Fatal(err)
	}
	root, err = complete(ctx, st, m, p)
	if err != nil {
		t.Fatal(err)
	}
	var only []string
	err = tree.Diff(ctx, st, m, root, func(p string, old, now *tree.Entry) error {
		if old != nil {
			t.Errorf("%s was changed", p)
		}
		only = append(only, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(show(t, st, root)) {
		name := strings.TrimRight(strings.Fields(line)[0], "*/")
		if slices.ContainsFunc(only, func(p string) bool { return strings.Trim(p, "/") == name }) {
			added += line
		}
	}
	return root, added
}

// The goldens list every file that completing adds.
func TestComplete(t *testing.T) {
	st := memory.New()
	_, added := completed(t, st, rootParams{Arch: "amd64"}, pack{"tiny;Version: 1", []string{"usr/bin/tiny* = x"}})
	golden(t, "complete-tiny.txt", added)

	cert := func(name string) string { return "usr/share/ca-certificates/mozilla/" + name + ".crt = " + testCert }
	lines := []string{"usr/lib64/ld-linux-x86-64.so.2 = ld", "usr/share/base-files/profile = PATH=/bin", "etc/hosts = own",
		"usr/share/base-passwd/passwd.master = root:*:0:0:root:/root:/bin/bash\n", "usr/share/base-passwd/group.master = root:*:0:\nstaff:*:50:\n",
		"usr/share/libc-bin/nsswitch.conf = hosts: files\n", "usr/share/zoneinfo/Etc/UTC = TZif", "usr/lib/ssl/misc/", cert("B"), cert("A"), "usr/share/ca-certificates/mozilla/README = no",
		"usr/lib/jvm/java-1.21.0-openjdk-amd64 -> java-21-openjdk-amd64", "usr/lib/jvm/java-9-openjdk-amd64/bin/old* = x", "usr/lib/jvm/java-21-openjdk-amd64/bin/java* = x",
		"usr/lib/jvm/java-21-openjdk-amd64/bin/keytool* = x", "usr/lib/jvm/java-21-openjdk-amd64/bin/notes = x", "usr/bin/automake-1.17* = x", "usr/bin/automake-1.18* = x"}
	made := map[string]bool{}
	for _, a := range alternatives(Triplet("amd64")) {
		for _, target := range a[1:] {
			if !made[target] {
				made[target] = true
				lines = append(lines, target+"* = x")
			}
		}
	}
	root, added := completed(t, st, rootParams{Arch: "amd64", Users: []User{{"postgres", 1001, 50, "/var/lib/postgresql", "/bin/bash"}}}, pack{"full;Version: 1", lines})
	golden(t, "complete-full.txt", added)
	v := view{st, root}
	for p, want := range map[string]string{
		"etc/hosts":                         "own",
		"etc/passwd":                        "root:*:0:0:root:/root:/bin/bash\nbuilder:*:1000:1000:builder:/tmp/home:/bin/sh\npostgres:*:1001:50:postgres:/var/lib/postgresql:/bin/bash\n",
		"etc/group":                         "root:*:0:\nstaff:*:50:\nbuilder:*:1000:\n",
		"etc/ssl/certs/ca-certificates.crt": testCert + testCert,
		"bin/tiny":                          "",
		"lib64/ld-linux-x86-64.so.2":        "ld",
	} {
		b, err := v.read(context.Background(), p)
		if err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v", p, b, err)
		}
	}
}

func TestCompleteRefusesUsers(t *testing.T) {
	st := memory.New()
	m, err := mergeAll(t, st, pack{"a;Version: 1", nil})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []User{{}, {Name: "a:b"}, {Name: "a", Home: "x\ny"}} {
		if _, err := complete(context.Background(), st, m, rootParams{Users: []User{u}}); err == nil {
			t.Errorf("%+v: accepted", u)
		}
	}
}

const testCert = "-----BEGIN CERTIFICATE-----\nAQIDBA==\n-----END CERTIFICATE-----\n"

// The bytes were compared with what keytool reads: 150 entries of a real bundle.
func TestKeyStore(t *testing.T) {
	got := keyStore([]javaCert{{"debian:a.pem", []byte{1, 2, 3, 4}}})
	const head = "\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x0cdebian:a.pem\x00\x00\x00\x49\x77\x38\x70\x00\x00\x05X.509\x00\x00\x00\x04\x01\x02\x03\x04"
	if len(got) != len(head)+20 || string(got[:4]) != head[:4] || !strings.Contains(string(got), "\x00\x05X.509\x00\x00\x00\x04\x01\x02\x03\x04") {
		t.Errorf("got %q", got)
	}
	if again := keyStore([]javaCert{{"debian:a.pem", []byte{1, 2, 3, 4}}}); !bytes.Equal(again, got) {
		t.Error("not the same twice")
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(deb("Package: p\nVersion: 1\n", tarball(f, "bin/x* = 1", "lib/y -> /bin/x"), f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		st := memory.New()
		tr, err := unpackRaw(t, st, raw, "{}")
		if err != nil {
			return
		}
		fuzzing.Tree(t, st, tr)
		if _, err := mergePackages(context.Background(), st, "amd64", []tree.Tree{tr}); err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Error(err)
			}
		}
	})
}
