package layer

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"hewn.example/hewn/internal/tree"
)

func TestAttrsText(t *testing.T) {
	a := Attrs{
		Owners: []Owner{{"/var/lib/", 999, 0}, {"", 1000, 1000}, {"/var/lib", 999, 0}, {"a\nb/é", 0, maxID}},
		Modes:  []Mode{{"tmp", 0o1777}, {"bin/su", 0o4755}, {"x", 0}},
	}
	b, err := EncodeAttrs(a)
	if err != nil {
		t.Fatal(err)
	}
	want := `hewn attributes 1
owner 1000:1000 ""
owner 0:4294967294 "a\nb/\u00e9"
owner 999:0 "var/lib"
mode 4755 "bin/su"
mode 1777 "tmp"
mode 0000 "x"
`
	if string(b) != want {
		t.Errorf("got\n%s", b)
	}
	got, err := ParseAttrs(b)
	canon, _ := a.Canonical()
	if err != nil || !reflect.DeepEqual(got, canon) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "owner 0:0 \"\"\n", want + "mode 0000 \"x\"\n", strings.TrimSuffix(want, "\n"), want + "\n",
		attrsHead + "owner 0:0 x\n", attrsHead + "owner 0 \"x\"\n", attrsHead + "owner -1:0 \"x\"\n", attrsHead + "owner 4294967295:0 \"x\"\n",
		attrsHead + "owner 01:0 \"x\"\n", attrsHead + "mode 755 \"x\"\n", attrsHead + "mode 10000 \"x\"\n", attrsHead + "mode 0758 \"x\"\n",
		attrsHead + "mode 0755 \"/x\"\n", attrsHead + "mode 0755 \"a/../x\"\n", attrsHead + "mode 0755 `x`\n", attrsHead + "time 0755 \"x\"\n",
		attrsHead + "mode 0755 \"x\"\nowner 0:0 \"\"\n", attrsHead + "owner 0:0 \"b\"\nowner 0:0 \"a\"\n", attrsHead + "mode 0755 \"é\"\n"} {
		if a, err := ParseAttrs([]byte(bad)); err == nil {
			t.Errorf("%q is taken for %+v", bad, a)
		}
	}
}

func TestAttrsCanonicalRefuses(t *testing.T) {
	for name, a := range map[string]Attrs{
		"two owners":    {Owners: []Owner{{"a", 1, 1}, {"/a/", 2, 1}}},
		"two modes":     {Modes: []Mode{{"a", 1}, {"/a", 2}}},
		"a negative id": {Owners: []Owner{{"a", -1, 0}}},
		"no id":         {Owners: []Owner{{"a", 0, maxID + 1}}},
		"a type bit":    {Modes: []Mode{{"a", 0o100644}}},
		"a parent path": {Modes: []Mode{{"../a", 0o644}}},
		"not UTF-8":     {Owners: []Owner{{"\xff", 0, 0}}},
	} {
		if _, err := a.Canonical(); err == nil {
			t.Errorf("%s is allowed", name)
		}
		if _, err := EncodeAttrs(a); err == nil {
			t.Errorf("%s is written", name)
		}
		if _, err := Write(t.Context(), newStore(), tree.Empty, Options{Attrs: a}, new(bytes.Buffer)); err == nil {
			t.Errorf("a layer is made with %s", name)
		}
	}
}

func TestAttrsOfPaths(t *testing.T) {
	a, err := Attrs{Owners: []Owner{{"home", 1000, 100}, {"home/b", 2, 3}}, Modes: []Mode{{"home", 0o700}, {"home/b/l", 0o600}}}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	dir, file, exec, link := tree.Entry{Kind: tree.KindDir}, tree.Entry{Kind: tree.KindFile},
		tree.Entry{Kind: tree.KindFile, Executable: true}, tree.Entry{Kind: tree.KindLink}
	for _, c := range []struct {
		path     string
		e        tree.Entry
		uid, gid int
		mode     uint32
	}{
		{"", dir, 0, 0, 0o755},
		{"home", dir, 1000, 100, 0o700},
		{"home/a", file, 1000, 100, 0o644},
		{"home/b", exec, 2, 3, 0o755},
		{"home/b/l", link, 2, 3, 0o777},
		{"home/b/l", file, 2, 3, 0o600},
		{"home/b/c/d", dir, 2, 3, 0o755},
		{"home/bc", dir, 1000, 100, 0o755},
		{"homes", file, 0, 0, 0o644},
	} {
		uid, gid := a.Owner(c.path)
		if mode := a.Mode(c.path, c.e); uid != c.uid || gid != c.gid || mode != c.mode {
			t.Errorf("%q (%s): got %d:%d %o, want %d:%d %o", c.path, c.e, uid, gid, mode, c.uid, c.gid, c.mode)
		}
	}
}

func FuzzParseAttrs(f *testing.F) {
	f.Add([]byte(attrsHead))
	f.Add([]byte(attrsHead + "owner 1000:1000 \"\"\nowner 0:5 \"a\\nb\"\nmode 1777 \"tmp\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseAttrs(text)
		if err != nil {
			return
		}
		again, err := EncodeAttrs(a)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q is read as %+v and written as %q, %v", text, a, again, err)
		}
	})
}
