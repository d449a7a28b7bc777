//go:build linux

package sandbox

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
)

// Whatever a driver says, it is refused, or is a process in a known root whose ids exist.
func FuzzControlRequest(f *testing.F) {
	f.Add([]byte(`{"root":"image","args":["ak","server"],"env":{"K":"V"},"dir":"/","uid":1000,"gid":0}`))
	f.Add([]byte(`{"root":"image","args":["x"],"uid":4294967295}`))
	f.Add([]byte("{\"root\":\"image\"}\n"))
	f.Add([]byte(`[]`))
	f.Add([]byte(``))
	c := &controller{roots: []string{"db", "image"}}
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := c.parse(line)
		if err != nil {
			if len(err.Error()) > 20*len(line)+1000 {
				t.Errorf("an error of %d bytes for a line of %d", len(err.Error()), len(line))
			}
			return
		}
		if p.Root != "db" && p.Root != "image" || len(p.Args) == 0 || p.UID == math.MaxUint32 || p.AsRoot != (p.UID == 0) {
			t.Errorf("%+v", p)
		}
		for _, kv := range p.Env {
			if strings.IndexByte(kv, '=') < 1 {
				t.Errorf("variable %q", kv)
			}
		}
	})
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", maxControlLine)
	for _, c := range []struct{ name, in, want, err string }{
		{"lines", "a\nb\n", "a\n", ""},
		{"no end", "a", "a", ""},
		{"nothing", "", "", "there is no request"},
		{"as long as may be", long[1:] + "\n", long[1:] + "\n", ""},
		{"too long", long + "\nx", "", "longer than 1048576"},
		{"too long without end", long + "x", "", "longer than 1048576"},
		{"endless", strings.Repeat(long, 20), "", "longer than 1048576"},
	} {
		got, err := readLine(bufio.NewReader(strings.NewReader(c.in)))
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %.20q, %v", c.name, got, err)
		}
	}
}

// Lines of two processes never mix, and nothing is lost.
func TestLineLog(t *testing.T) {
	var out bytes.Buffer
	log := &sharedLog{w: &out}
	a, driver := &lineLog{to: log, prefix: "a: "}, &lineLog{to: log}
	for _, s := range []struct {
		to   *lineLog
		text string
	}{{a, "on"}, {driver, "two "}, {a, "e\n\nthree"}, {driver, "words\nlast"}, {a, ""}, {driver, " one"}} {
		if n, err := io.WriteString(s.to, s.text); n != len(s.text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	a.flush()
	driver.flush()
	driver.flush()
	if want := "a: one\na: \ntwo words\na: three\nlast one"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
	out.Reset()
	long := strings.Repeat("y", maxLine)
	io.WriteString(a, long+"z\n")
	io.WriteString(driver, long+"z\n")
	if want := "a: " + long + "\na: z\n" + long + "z\n"; out.String() != want {
		t.Errorf("a long line of %d bytes, want %d", out.Len(), len(want))
	}
}

func TestTail(t *testing.T) {
	end := &tail{max: 4}
	for _, s := range []string{"", "ab", "cde", "f", strings.Repeat("x", 100), "yz"} {
		io.WriteString(end, s)
	}
	if end.String() != "xxyz" || len(end.text) > 8 {
		t.Errorf("%q of %d bytes", end, len(end.text))
	}
	if short := (&tail{max: 4}); short.String() != "" {
		t.Errorf("%q", short)
	}
}

func TestUserOf(t *testing.T) {
	for _, c := range []struct {
		asRoot         bool
		uid, gid, u, g uint32
	}{{false, 0, 0, 1000, 1000}, {false, 0, 5, 1000, 1000}, {true, 7, 0, 0, 0}, {true, 0, 5, 0, 5}, {false, 70, 0, 70, 0}, {false, 70, 71, 70, 71}} {
		if u, g := userOf(c.asRoot, c.uid, c.gid); u != c.u || g != c.g {
			t.Errorf("%+v: %d:%d", c, u, g)
		}
	}
}
