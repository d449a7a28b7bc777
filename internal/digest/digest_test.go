package digest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

const (
	emptyText = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0"
	abcText   = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/3"
)

func TestOf(t *testing.T) {
	for text, content := range map[string]string{emptyText: "", abcText: "abc"} {
		d := Of([]byte(content))
		if d.String() != text || d.Size() != int64(len(content)) || d.Hex() != text[:64] || d.Short() != text[:12] || d.IsZero() {
			t.Errorf("%q: got %v", content, d)
		}
		w := NewWriter()
		for i := range len(content) {
			if n, err := w.Write([]byte(content[i : i+1])); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			w.Digest() // looking at it must not change it
		}
		if w.Digest() != d {
			t.Errorf("%q byte by byte: got %v", content, w.Digest())
		}
	}
	if Empty.String() != emptyText {
		t.Errorf("Empty is %v", Empty)
	}
}

func TestParse(t *testing.T) {
	d, err := Parse(abcText)
	if err != nil || d != Of([]byte("abc")) {
		t.Errorf("got %v, %v", d, err)
	}
	h := abcText[:64]
	for _, s := range []string{"", "-", h, h + "/", h + "/-1", h + "/+3", h + "/03", h + "/3 ", h + "/3/3", h + "/0x3", h + "/9223372036854775808",
		h[:63] + "/3", h + "0/3", strings.ToUpper(h) + "/3", "g" + h[1:] + "/3", " " + abcText, "/3"} {
		if d, err := Parse(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, d)
		} else if !d.IsZero() || !strings.HasPrefix(err.Error(), "digest: ") {
			t.Errorf("%q: got %v, %v", s, d, err)
		}
	}
}

func TestNew(t *testing.T) {
	sum := Of([]byte("abc")).Hash()
	if d, err := New(sum[:], 3); err != nil || d != Of([]byte("abc")) {
		t.Errorf("got %v, %v", d, err)
	}
	if _, err := New(sum[:31], 3); err == nil {
		t.Error("31 bytes are taken for a hash")
	}
	if _, err := New(sum[:], -1); err == nil {
		t.Error("-1 is taken for a size")
	}
	if d, err := FromHex(abcText[:64], math.MaxInt64); err != nil || d.Size() != math.MaxInt64 {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestZero(t *testing.T) {
	var z Digest
	if !z.IsZero() || z.String() != "-" || z == Empty {
		t.Errorf("the zero digest is %v", z)
	}
}

func TestText(t *testing.T) {
	type doc struct {
		D Digest
		E Digest `json:",omitzero"`
	}
	b, err := json.Marshal(doc{D: Of([]byte("abc"))})
	if err != nil || string(b) != `{"D":"`+abcText+`"}` {
		t.Fatalf("got %s, %v", b, err)
	}
	var got doc
	if err := json.Unmarshal(b, &got); err != nil || got.D != Of([]byte("abc")) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"D":"-"}`), &got); err != nil || !got.D.IsZero() {
		t.Errorf("got %v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"D":"abc"}`), &got); err == nil {
		t.Error("a malformed digest is taken")
	}
}

func TestCompare(t *testing.T) {
	h := abcText[:64]
	low, _ := FromHex("0"+h[1:], 9)
	a, _ := FromHex(h, 3)
	b, _ := FromHex(h, 4)
	ordered := []Digest{low, a, b}
	for i, x := range ordered {
		for j, y := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := Compare(x, y); got != want {
				t.Errorf("%v, %v: got %d, want %d", x, y, got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{emptyText, abcText, "-", "", abcText + "0", strings.ToUpper(abcText)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			if !d.IsZero() {
				t.Errorf("%q: %v with the error %v", s, d, err)
			}
			return
		}
		if d.String() != s {
			t.Errorf("%q prints as %q", s, d)
		}
	})
}
