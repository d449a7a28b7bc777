package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

const lockText = lockHead + `hewn-layers 1

image image budget=16
from 2026.2.0
from "2026.2 beta"
layer system
  /
layer python-often
  /venv/lib/a-[0-9]*.dist-info
  "/venv/lib/b c"
  "/venv/lib/new\nline"
  "/venv/lib/ü\\*"

image "other image" budget=1
layer image
  /
`

func lockFile(t testing.TB) *File {
	t.Helper()
	f := &File{}
	for name, p := range map[string]*Plan{
		"other image": {Budget: 1, Groups: []spec.LayerGroup{group("image", "/")}},
		"image": {Budget: 16, From: []string{"2026.2.0", "2026.2 beta"}, Groups: []spec.LayerGroup{group("system", "/"),
			group("python-often", "/venv/lib/a-[0-9]*.dist-info", "/venv/lib/b c", "/venv/lib/new\nline", `/venv/lib/ü\*`)}},
	} {
		if err := f.Set(name, p); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestLock(t *testing.T) {
	f := lockFile(t)
	if got := string(f.Encode()); got != lockText {
		t.Errorf("got\n%swant\n%s", got, lockText)
	}
	back, err := Parse(LockName, []byte(lockText))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.Plans(), back.Plans()); d != "" {
		t.Error(d)
	}
	groups, ok := back.Plan("image")
	if !ok || groups[1].Paths[2] != "/venv/lib/new\nline" || back.Budget("image") != 16 || !slices.Equal(back.From("image"), f.From("image")) {
		t.Errorf("read back: %v, %v, budget %d, from %q", groups, ok, back.Budget("image"), back.From("image"))
	}
	if _, ok := back.Plan("web"); ok || !back.Remove("image") || back.Remove("image") || len(back.Images()) != 1 {
		t.Error("an image is there that was never set or was removed")
	}
	if err := f.Set("image", &Plan{Budget: 1, Groups: groups}); err == nil {
		t.Error("a plan over its budget was set")
	}
	empty, err := Parse(LockName, (&File{}).Encode())
	if err != nil || len(empty.Images()) != 0 {
		t.Errorf("an empty file: %v, %v", empty, err)
	}
}

func TestLockRefuses(t *testing.T) {
	const head = "hewn-layers 1\n"
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"empty":            {"", 1, "`hewn-layers 1` is missing"},
		"no version":       {"image x budget=1\n", 1, "want `hewn-layers 1` first"},
		"newer":            {"hewn-layers 2\nanything\n", 1, "format version `2`, this hewn reads version 1"},
		"unknown word":     {head + "imege x\n", 2, "unknown word `imege`"},
		"no name":          {head + "image budget=1\n", 2, "needs the name"},
		"no budget":        {head + "image x 3\n", 2, "want `budget=`"},
		"budget":           {head + "image x budget=128\n", 2, "1 to 127"},
		"twice":            {head + "image x budget=1\nlayer a\n  /\nimage x budget=1\n", 5, "stands twice"},
		"no layers":        {head + "image x budget=1\n\n# end\n", 5, "of line 2 has no layers"},
		"over budget":      {head + "image x budget=1\nlayer a\n  /\nlayer b\n  /b\n", 7, "2 layers, over its budget of 1"},
		"layer first":      {head + "layer a\n", 2, "below an `image`"},
		"path first":       {head + "image x budget=1\n  /\n", 3, "below a `layer`"},
		"from late":        {head + "image x budget=1\nlayer a\nfrom b\n", 4, "between"},
		"two paths":        {head + "image x budget=1\nlayer a\n  /a /b\n", 4, "one path a line"},
		"the path again":   {head + "image x budget=1\nlayer a\n  /a\n  /a\n", 5, "stands twice"},
		"no paths":         {head + "image x budget=1\nlayer a\n", 4, "no paths"},
		"same layer twice": {head + "image x budget=2\nlayer a\n  /\nlayer a\n  /b\n", 7, "two layers are called `a`"},
		"bad pattern":      {head + "image x budget=2\nlayer a\n  /[\n", 5, "not a well-formed pattern"},
		"open quote":       {head + "image \"x budget=2\n", 2, "does not end"},
		"joined quote":     {head + "image \"x\"budget=2\n", 2, "no space after"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("layers.lock", []byte(c.text))
			var p *diag.Problem
			if !errors.As(err, &p) || p.Kind != diag.BadInput || p.Pos.File != "layers.lock" || p.Pos.Line != c.line || !strings.Contains(err.Error(), c.says) || len(p.Hints) == 0 {
				t.Errorf("want line %d and %q, got %v", c.line, c.says, err)
			}
		})
	}
	if _, err := Parse("l", make([]byte, MaxLock+1)); err == nil {
		t.Error("a file over the limit was read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(lockText))
	f.Add([]byte("hewn-layers 1\nimage \"\\x00\" budget=1\nlayer a\n  /\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse("f", b)
		if err != nil {
			return
		}
		again, err := Parse("f", file.Encode())
		if err != nil {
			t.Fatalf("%v\n%s", err, file.Encode())
		}
		if d := cmp.Diff(file.Plans(), again.Plans()); d != "" {
			t.Error(d)
		}
		if string(again.Encode()) != string(file.Encode()) {
			t.Error("two texts of one file")
		}
	})
}

func TestPrice(t *testing.T) {
	a, b, c, zero := LayerSize{"sha256:a", 300_000_000}, LayerSize{"sha256:b", 72_000_000}, LayerSize{"sha256:c", 38_000_000}, LayerSize{"sha256:0", 0}
	for name, x := range map[string]struct {
		from     string
		old, new []LayerSize
		want     string
	}{
		"one layer":      {"2026.2.0", []LayerSize{a, b}, []LayerSize{a, b, c}, "2026.2.0 -> 2026.2.1 pulls 38 MB of 410 MB (1 of 3 layers)"},
		"nothing new":    {"2026.2.0", []LayerSize{a, b, c}, []LayerSize{b, a}, "2026.2.0 -> 2026.2.1 pulls no layer (372 MB are the same)"},
		"all":            {"2026.2.0", nil, []LayerSize{c}, "2026.2.0 -> 2026.2.1 pulls 38 MB of 38 MB (1 of 1 layer)"},
		"the same twice": {"2026.2.0", []LayerSize{a}, []LayerSize{a, c, c}, "2026.2.0 -> 2026.2.1 pulls 38 MB of 338 MB (1 of 2 layers)"},
		"no bytes":       {"2026.2.0", []LayerSize{a}, []LayerSize{a, zero}, "2026.2.0 -> 2026.2.1 pulls 0 B of 300 MB (1 of 2 layers)"},
		"first":          {"", nil, []LayerSize{a, c}, "2026.2.1 pulls 338 MB (2 layers)"},
	} {
		if got := Sentence(x.from, "2026.2.1", x.old, x.new); got != x.want {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		1_449_999_999: "1.4 GB", 1 << 62: "4.6 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestHistory(t *testing.T) {
	entry := func(label, platform string, root int) Entry {
		return Entry{label, platform, tree.Of(digest.Of([]byte{byte(root)})), "sha256:" + label, []LayerSize{{"sha256:l", int64(root)}}}
	}
	h := &History{}
	h.Add(entry("1", "linux/amd64", 1))
	h.Add(entry("1", "linux/arm64", 1))
	h.Add(entry("2", "linux/amd64", 2))
	h.Add(entry("2 again", "linux/amd64", 2))
	back, err := ParseHistory(h.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range back.Entries {
		got = append(got, e.Label+" "+e.Platform)
	}
	if want := []string{"1 linux/amd64", "1 linux/arm64", "2 again linux/amd64"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if e, ok := back.Before(entry("new", "linux/amd64", 2)); !ok || e.Label != "1" {
		t.Errorf("before root 2: %v, %v", e, ok)
	}
	if _, ok := back.Before(entry("new", "linux/arm64", 1)); ok {
		t.Error("the same root is an update")
	}
	for i := range 40 {
		h.Add(entry(fmt.Sprint(i), "linux/amd64", 100+i))
	}
	vs := h.Versions("linux/amd64")
	if len(vs) != 32 || vs[0].Label != "8" || vs[31].Label != "39" || len(h.Versions("linux/arm64")) != 1 {
		t.Errorf("%d versions of amd64, %d of arm64: %v", len(vs), len(h.Versions("linux/arm64")), vs)
	}
	for name, text := range map[string]string{"empty": "", "version": `{"version":2}`, "tail": `{"version":1}{}`, "no root": `{"version":1,"entries":[{"platform":"x"}]}`,
		"digest": `{"version":1,"entries":[{"platform":"x","root":"q"}]}`, "size": strings.Replace(string(h.Encode()), `"size":1}`, `"size":-1}`, 1)} {
		if _, err := ParseHistory([]byte(text)); !errors.Is(err, ErrHistory) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ParseHistory(make([]byte, MaxHistory+1)); !errors.Is(err, ErrHistory) {
		t.Errorf("over the limit: %v", err)
	}
}

func FuzzParseHistory(f *testing.F) {
	h := &History{}
	h.Add(Entry{"1", "linux/amd64", tree.Empty, "sha256:m", []LayerSize{{"sha256:l", 1}}})
	f.Add(h.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHistory(b)
		if err != nil {
			return
		}
		again, err := ParseHistory(h.Encode())
		if err != nil || string(again.Encode()) != string(h.Encode()) {
			t.Errorf("%v\n%s", err, h.Encode())
		}
	})
}
