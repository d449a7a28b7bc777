package wheel

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/platform"
)

var update = flag.Bool("update", false, "write goldens")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := os.ReadFile(file)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func target(python, plat, libc string) Target {
	p, err := platform.Parse(plat)
	if err != nil {
		panic(err)
	}
	return Target{Python: python, Platform: p, Libc: libc}
}

// The golden orders are those that the reference implementation (cpython_tags, compatible_tags) gives for these platforms.
func TestRanks(t *testing.T) {
	var b strings.Builder
	for _, tg := range []Target{target("3.5", "linux/amd64", "2.18"), target("3.3.1", "linux/arm64/musl", "1.1")} {
		r, err := NewRanks(tg)
		if err != nil {
			t.Fatal(err)
		}
		tags := slices.SortedFunc(maps.Keys(r), func(a, b Tag) int { return cmp.Compare(r[a], r[b]) })
		fmt.Fprintf(&b, "%s %s %s\n", tg.Python, tg.Platform, tg.Libc)
		for i, tag := range tags {
			if r[tag] != i+1 {
				t.Fatalf("rank %d at place %d", r[tag], i)
			}
			fmt.Fprintf(&b, "  %s-%s-%s\n", tag.Python, tag.ABI, tag.Platform)
		}
	}
	golden(t, "testdata/ranks.golden", b.String())
	for _, bad := range []Target{target("2.7", "linux/amd64", ""), target("3.14", "darwin/arm64", ""), target("3.14", "linux/riscv64", ""), target("x", "linux/amd64", ""), target("3.14", "linux/amd64", "new")} {
		if _, err := NewRanks(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestBest(t *testing.T) {
	files := []string{
		"a-1-cp314-cp314-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
		"a-1-cp314-cp314-manylinux_2_28_x86_64.whl",
		"a-1-cp314-cp314-manylinux_2_42_x86_64.whl",
		"a-1-cp314-cp314t-manylinux_2_28_x86_64.whl",
		"a-1-cp311-abi3-manylinux_2_28_x86_64.whl",
		"a-1-cp315-abi3.abi3t-manylinux_2_28_x86_64.whl",
		"a-1-cp310-abi3-musllinux_1_2_aarch64.whl",
		"a-1-cp313-cp313-manylinux_2_28_aarch64.whl",
		"a-1-py3-none-manylinux_2_28_aarch64.whl",
		"a-1-py2.py3-none-any.whl",
		"a-1-cp314-cp314-win_amd64.whl",
	}
	for _, tc := range []struct {
		name, python, platform, libc string
		files                        []string
		want                         int
	}{
		{"newest glibc that fits", "3.14.8", "linux/amd64", "", files, 1},
		{"newer glibc", "3.14", "linux/amd64", "2.42", files, 2},
		{"old glibc", "3.14", "linux/amd64", "2.17", files, 0},
		{"abi3 of an older minor", "3.13", "linux/amd64", "", files, 4},
		{"abi3 of a newer minor does not fit", "3.10", "linux/amd64", "", files, 9},
		{"pure with a platform before pure without", "3.14", "linux/arm64", "", files, 8},
		{"musl", "3.14", "linux/arm64/musl", "", files, 6},
		{"nothing fits", "3.14", "linux/amd64", "", files[6:9], -1},
		{"highest build tag", "3.14", "linux/amd64", "", []string{"a-1-9-py3-none-any.whl", "a-1-10-py3-none-any.whl", "a-1-py3-none-any.whl"}, 1},
		{"build tag loses to a better tag", "3.14", "linux/amd64", "", []string{"a-1-9-py3-none-any.whl", "a-1-cp314-none-any.whl"}, 1},
		{"unreadable names do not fit", "3.14", "linux/amd64", "", []string{"a.whl", "a-1.tar.gz"}, -1},
	} {
		r, err := NewRanks(target(tc.python, tc.platform, tc.libc))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Best(tc.files); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestParseFileName(t *testing.T) {
	f, err := ParseFileName("Foo.Bar_baz-1.0+x-2b-py2.py3-none-linux_x86_64.any.whl")
	if err != nil || f.Name != "foo-bar-baz" || f.Version != "1.0+x" || f.Build != (Build{2, "b"}) || len(f.Tags) != 4 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{"", "a.whl", "a-1-py3-none.whl", "a-x-py3-none-any.whl", "a-1-b2-py3-none-any.whl", "a-1--none-any.whl", "a-1-py3-none-any.zip"} {
		if f, err := ParseFileName(bad); err == nil {
			t.Errorf("%q: %+v", bad, f)
		}
	}
}

func FuzzParseFileName(f *testing.F) {
	f.Add("Foo.Bar_baz-1.0+x-2b-py2.py3-none-linux_x86_64.any.whl")
	r, _ := NewRanks(target("3.14", "linux/amd64", ""))
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseFileName(s); err == nil {
			r.Rank(n)
		}
	})
}
