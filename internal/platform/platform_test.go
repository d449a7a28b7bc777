package platform

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]Platform{
		"linux/amd64":       {"linux", "amd64", "glibc"},
		"linux/arm64/glibc": {"linux", "arm64", "glibc"},
		"linux/amd64/musl":  {"linux", "amd64", "musl"},
		"darwin/arm64":      {"darwin", "arm64", ""},
		"linux/mips64le":    {"linux", "mips64le", "glibc"},
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "linux", "/", "linux/", "/amd64", "linux/amd64/", "linux/amd64/uclibc", "linux/amd64/glibc/x", "Linux/amd64", "linux/am d64", "linux/amd64\n"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("%q: got %+v, want an error", s, got)
		} else if !strings.HasPrefix(err.Error(), "platform ") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestHostCanBeWritten(t *testing.T) {
	h := Host()
	if got, err := Parse(h.String()); err != nil || got != h || h.OS != "linux" {
		t.Errorf("got %+v, %v, want %+v", got, err, h)
	}
}

func TestText(t *testing.T) {
	type doc struct{ P Platform }
	b, err := json.Marshal(doc{Platform{"linux", "arm64", "musl"}})
	if err != nil || string(b) != `{"P":"linux/arm64/musl"}` {
		t.Fatalf("got %s, %v", b, err)
	}
	var d doc
	if err := json.Unmarshal(b, &d); err != nil || d.P.Libc != "musl" {
		t.Errorf("got %+v, %v", d, err)
	}
	if err := json.Unmarshal([]byte(`{"P":"linux"}`), &d); err == nil || d.P.Libc != "musl" {
		t.Errorf("a malformed platform gave %+v, %v", d, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/amd64/musl", "darwin/arm64", "linux/amd64/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Errorf("%q: %+v prints as %s, which reads as %+v, %v", s, p, p, again, err)
		}
		if strings.ContainsAny(p.String(), " \n\"") {
			t.Errorf("%q cannot stand in a lock", p)
		}
	})
}
