package debian

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

const unpackOracle = "testdata/oracle/unpack.txt"

// unpackCase is one case of unpackOracle.
type unpackCase struct {
	name       string
	packs      []pack
	dpkg, hewn []string // a line a path as show has it; "refuses"
	lines      []string
}

func readUnpackOracle(t *testing.T) (head string, cases []*unpackCase) {
	t.Helper()
	raw, err := os.ReadFile(unpackOracle)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		if i == 0 {
			head = block
			continue
		}
		c := &unpackCase{}
		for line := range strings.SplitSeq(block, "\n") {
			word, rest, _ := strings.Cut(line, " ")
			switch word {
			case "case":
				c.name = rest
			case "pack":
				c.packs = append(c.packs, pack{control: rest})
			case "file":
				p := &c.packs[len(c.packs)-1]
				p.lines = append(p.lines, rest)
			case "dpkg":
				c.dpkg = append(c.dpkg, rest)
			case "hewn":
				c.hewn = append(c.hewn, rest)
			}
			c.lines = append(c.lines, line)
		}
		cases = append(cases, c)
	}
	return head, cases
}

func TestUnpackAsDpkg(t *testing.T) {
	_, cases := readUnpackOracle(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.dpkg
			if c.hewn != nil {
				if want = c.hewn; slices.Equal(want, c.dpkg) {
					t.Error("the case says that dpkg differs, and it does not")
				}
			}
			for range 2 {
				if got := mergedLines(t, c.packs); len(want) == 0 || !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				slices.Reverse(c.packs)
			}
		})
	}
}

// mergedLines gives what a root of these packages has, but for the packages' own control files.
func mergedLines(t *testing.T, packs []pack) []string {
	t.Helper()
	ctx, st := context.Background(), memory.New()
	tr, err := mergeAll(t, st, packs...)
	if err != nil {
		return []string{"refuses"}
	}
	if tr, err = tree.Remove(ctx, st, tr, "var"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(show(t, st, tr)), "\n")
	slices.Sort(lines)
	return lines
}

// Packages that dpkg-deb made, with each of its compressions.
func TestUnpackCompressions(t *testing.T) {
	for _, kind := range []string{"none", "gzip", "xz", "zstd"} {
		raw, err := os.ReadFile("testdata/oracle/" + kind + ".deb")
		if err != nil {
			t.Fatal(err)
		}
		st := memory.New()
		tr, err := unpackRaw(t, st, raw, "{}")
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		want := "etc/tiny.conf = \"c\"\nusr/bin/tiny* = \"" + kind + "\"\nusr/lib/tiny -> ../bin/tiny\nvar/lib/dpkg/status.d/tiny = "
		if got := show(t, st, tr); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
}
