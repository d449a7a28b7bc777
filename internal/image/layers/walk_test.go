package layers

import (
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/tree"
)

func TestFamilies(t *testing.T) {
	for name, c := range map[string]struct {
		names [2]string // of the first and the second version
		want  string
	}{
		"a new version":            {[2]string{"a-1.2.dist-info b", "a-1.3.dist-info b"}, "a-[0-9]*.dist-info b"},
		"all versions of a name":   {[2]string{"libicu72.so.72.1", "libicu74.so.74.2"}, "libicu[0-9]*.so.[0-9]*"},
		"the last of a name":       {[2]string{"lib2.so.1 lib3.so.1", "lib2.so.1.1 lib3.so.1"}, "lib2.so.[0-9]* lib3.so.1"},
		"the first of a name":      {[2]string{"py3.1-abi2 py3-abi1", "py3.2-abi2 py3-abi1"}, "py3-abi1 py[0-9]*-abi2"},
		"two at a time":            {[2]string{"a-1 a-2", "a-2 a-3"}, "a-1 a-2 a-3"},
		"another that would match": {[2]string{"py3.11 py3", "py3.12 py3"}, "py3 py3.11 py3.12"},
		"a version in front":       {[2]string{"0001_a", "0002_a"}, "0001_a 0002_a"},
		"gone and never back":      {[2]string{"a-1.2 b", "b"}, "a-1.2 b"},
		"special characters":       {[2]string{"a[-1.2", "a[-1.3"}, `a\[-[0-9]*`},
	} {
		w := &walker{n: 2}
		var kids []child
		for v, names := range c.names {
			for _, name := range strings.Fields(names) {
				e := tree.Entry{Name: name, Kind: tree.KindLink, Target: "x"}
				if i := slices.IndexFunc(kids, func(k child) bool { return k.runs[0].e == e }); i >= 0 {
					kids[i].runs[0].to = v + 1
				} else {
					kids = append(kids, child{name: escape(name), runs: []run{{v, v + 1, e}}})
				}
			}
		}
		var got []string
		for _, k := range w.families(kids) {
			got = append(got, k.name)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestSignatureOf(t *testing.T) {
	for name, c := range map[string]struct {
		runs []run
		want signature
	}{
		"always":        {[]run{{from: 0, to: 4}}, 0},
		"changed once":  {[]run{{from: 0, to: 2}, {from: 2, to: 4}}, 1 << 1},
		"came":          {[]run{{from: 3, to: 4}}, 1 << 2},
		"went":          {[]run{{from: 0, to: 1}}, 1 << 0},
		"went and came": {[]run{{from: 0, to: 1}, {from: 3, to: 4}}, 1<<0 | 1<<2},
	} {
		if got := signatureOf(c.runs, 4); got != c.want {
			t.Errorf("%s: got %b, want %b", name, got, c.want)
		}
	}
}
