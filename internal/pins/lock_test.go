package pins

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

var amd64 = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}

func sha(b byte) source.Integrity {
	sum := make([]byte, 32)
	sum[0] = b
	i, err := source.NewIntegrity(source.SHA256, sum)
	if err != nil {
		panic(err)
	}
	return i
}

// answering is a resolver that counts how often it is asked.
type answering struct {
	version string
	asked   int
}

func (r *answering) Resolve(_ context.Context, q Question) ([]source.Artifact, error) {
	r.asked++
	if r.version == "" {
		return nil, errors.New("the index cannot be read")
	}
	return []source.Artifact{
		{Ecosystem: q.Ecosystem, Name: "zlib", Version: r.version, File: "zlib.deb", Integrity: sha(2), Size: 9, Path: "pool/z lib"},
		{Ecosystem: q.Ecosystem, Name: "bash", Version: "5", File: "bash.deb", Integrity: sha(1)},
	}, nil
}

func root(name string, request ...string) Question {
	return Question{Ecosystem: source.Debian, Set: "root/" + name, Platform: amd64, Request: request}
}

func updated(t *testing.T, old *Lock, r *answering, mode Mode, complete bool, qs ...Question) *Lock {
	t.Helper()
	u := NewUpdater(old, map[source.Ecosystem]Resolver{source.Debian: r}, mode, nil)
	for _, q := range qs {
		if _, err := u.Artifacts(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return u.Result(complete, amd64)
}

func TestLockRoundTrip(t *testing.T) {
	l := updated(t, NewLock("sources.lock"), &answering{version: "1"}, All, true, root("a", "package bash", "suite x"), root("b", `quo"ted`))
	text := string(l.Format())
	back, err := ParseLock("sources.lock", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := string(back.Format()); again != text {
		t.Errorf("format, parse, format gives\n%s\nwant\n%s", again, text)
	}
	if n := strings.Count(text, "\npin "); n != 2 {
		t.Errorf("%d pin lines for two artifacts in two sets each:\n%s", n, text)
	}
	as, err := back.Artifacts(t.Context(), root("b", `quo"ted`))
	if err != nil || len(as) != 2 || as[0].Name != "bash" || as[1].Path != "pool/z lib" || as[1].Size != 9 {
		t.Errorf("got %+v, %v", as, err)
	}
}

func TestLockMissingAndStale(t *testing.T) {
	l := updated(t, NewLock("sources.lock"), &answering{version: "1"}, All, true, root("a", "package bash"))
	other := platform.Platform{OS: "linux", Arch: "riscv64", Libc: "glibc"} // no machine that this is tested on
	for _, c := range []struct {
		name string
		q    Question
		code string
	}{
		{"another set", root("b", "package bash"), "pin-missing"},
		{"another platform", Question{source.Debian, "root/a", other, []string{"package bash"}}, "pin-missing"},
		{"another request", root("a", "package bash", "package dash"), "pin-stale"},
	} {
		_, err := l.Artifacts(t.Context(), c.q)
		var p *diag.Problem
		if !errors.As(err, &p) || p.Code != c.code || !strings.Contains(strings.Join(p.Hints, " "), "hewn update --missing") {
			t.Errorf("%s: got %v", c.name, err)
		}
		if told := strings.Contains(strings.Join(p.Hints, " "), "--platform"); told != (c.q.Platform == other) {
			t.Errorf("%s: the hints name a platform: %v: %q", c.name, told, p.Hints)
		}
	}
}

func TestUpdateModes(t *testing.T) {
	old := updated(t, NewLock("l"), &answering{version: "1"}, All, true, root("a", "x"), root("gone", "y"))
	r := &answering{version: "2"}
	l := updated(t, old, r, Missing, false, root("a", "x"))
	if r.asked != 0 || len(l.Diff(old)) != 0 {
		t.Errorf("--missing resolved %d times and moved %v", r.asked, l.Diff(old))
	}
	updated(t, old, r, Missing, false, root("a", "x", "more"))
	if r.asked != 1 {
		t.Errorf("--missing kept the answer to another request")
	}
	r.asked = 0
	l = updated(t, old, r, All, true, root("a", "x"), root("a", "x"))
	var lines []string
	for _, c := range l.Diff(old) {
		lines = append(lines, c.String())
	}
	want := "debian root/a: zlib 1 -> 2\ndebian root/gone: - bash 5\ndebian root/gone: - zlib 1"
	if got := strings.Join(lines, "\n"); got != want || r.asked != 1 {
		t.Errorf("asked %d times, moved\n%s\nwant\n%s", r.asked, got, want)
	}
}

func TestUpdateAmbiguous(t *testing.T) {
	u := NewUpdater(NewLock("l"), map[source.Ecosystem]Resolver{source.Debian: &answering{version: "1"}}, All, nil)
	if _, err := u.Artifacts(t.Context(), root("a", "x")); err != nil {
		t.Fatal(err)
	}
	_, err := u.Artifacts(t.Context(), root("a", "y"))
	var p *diag.Problem
	if !errors.As(err, &p) || p.Code != "pin-ambiguous" {
		t.Errorf("two requests under one name: got %v", err)
	}
}

func TestParseLockErrors(t *testing.T) {
	head := "# c\nhewn-lock 1\n"
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"empty":              {"", 1, "hewn-lock 1"},
		"newer version":      {"hewn-lock 2\n", 1, "format version 2"},
		"no version":         {"set debian a any\n", 1, "hewn-lock 1"},
		"unknown word":       {head + "pim x\n", 3, "`pim`"},
		"short pin":          {head + "pin debian any x\n", 3, "needs"},
		"bad platform":       {head + "set debian a linux\n", 3, "os/arch"},
		"set twice":          {head + "set debian a any\nset debian a any\n", 4, "twice"},
		"undeclared set":     {head + "pin npm any x 1 x.tgz " + sha(1).String() + " in=a\n", 3, "no line above"},
		"no set":             {head + "pin npm any x 1 x.tgz " + sha(1).String() + "\n", 3, "in no set"},
		"no integrity":       {head + "set npm a any\npin npm any x 1 x.tgz - in=a\n", 4, "no integrity"},
		"bad integrity":      {head + "set npm a any\npin npm any x 1 x.tgz sha256:zz in=a\n", 4, "hash"},
		"bad size":           {head + "set npm a any\npin npm any x 1 x.tgz " + sha(1).String() + " size=-1 in=a\n", 4, "size"},
		"unknown field":      {head + "set npm a any\npin npm any x 1 x.tgz " + sha(1).String() + " colour=red in=a\n", 4, "colour"},
		"quote does not end": {head + "set npm a any \"x\n", 3, "quoted"},
	} {
		_, err := ParseLock("sources.lock", []byte(c.text))
		var p *diag.Problem
		if !errors.As(err, &p) || p.Pos.Line != c.line || p.Pos.File != "sources.lock" || !strings.Contains(err.Error(), c.says) || p.Kind != diag.BadInput {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte("hewn-lock 1\nset debian root/a linux/amd64 \"package bash\"\npin debian linux/amd64 bash 5 b.deb " + sha(1).String() + " size=3 in=root/a\n"))
	f.Add([]byte("hewn-lock 1\nset pypi build/x@1/hook any \"python 3.14\"\n| cffi>=1\n|\n|  \"a\" # b\n"))
	f.Add([]byte("hewn-lock 1\nset git source/x any\npin git any up:x v1 0123 - in=source/x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLock("l", b)
		if err != nil {
			return
		}
		text := l.Format()
		back, err := ParseLock("l", text)
		if err != nil {
			t.Fatalf("what Format writes cannot be read: %v\n%s", err, text)
		}
		if string(back.Format()) != string(text) {
			t.Fatalf("not stable:\n%s\n%s", text, back.Format())
		}
	})
}

func TestApart(t *testing.T) {
	sum := strings.Repeat("0", 64)
	pin := func(name, version, sets string) string {
		return "pin debian linux/amd64 " + name + " " + version + " " + name + version + ".deb sha256:" + sum + " in=" + sets + "\n"
	}
	l, err := ParseLock("sources.lock", []byte("hewn-lock 1\nset debian root/a linux/amd64 x\nset debian root/b linux/amd64 x\nset debian root/c linux/amd64 other\n"+
		"set debian root/a linux/arm64 x\n"+pin("libc6", "1", "root/a")+pin("libc6", "2", "root/b")+pin("bash", "1", "root/a,root/b")+pin("bash", "2", "root/c")+pin("only", "1", "root/a")))
	if err != nil {
		t.Fatal(err)
	}
	alike := func(a, b []string) bool { return slices.Equal(a, b) }
	got := l.Apart(source.Debian, amd64, alike)
	if want := []Apart{{"libc6", [2]string{"root/a", "root/b"}, [2]string{"1", "2"}}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
