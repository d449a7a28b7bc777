package debian

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const closureOracle = "testdata/oracle/closure.txt"

// oracleCase is one case of closureOracle. Lines keeps its text, so that the recorder can write it back.
type oracleCase struct {
	name      string
	have, ask []string
	apt       string // what apt installs; "refuses" if it installs nothing
	hewn      string // empty: the same
	lines     []string
}

func (c *oracleCase) read(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "case":
		c.name = rest
	case "have":
		c.have = append(c.have, rest)
	case "ask":
		c.ask = strings.Fields(rest)
	case "apt":
		c.apt = rest
	case "hewn":
		c.hewn = rest
	}
	c.lines = append(c.lines, line)
}

func readOracle(t *testing.T) (head string, cases []*oracleCase) {
	t.Helper()
	raw, err := os.ReadFile(closureOracle)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		if i == 0 {
			head = block
			continue
		}
		c := &oracleCase{}
		for line := range strings.SplitSeq(block, "\n") {
			c.read(line)
		}
		cases = append(cases, c)
	}
	return head, cases
}

func TestClosureAsApt(t *testing.T) {
	_, cases := readOracle(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var ask []string
			for _, a := range c.ask {
				ask = append(ask, "package "+a)
			}
			got, err := solve(t, c.have, ask)
			if err != nil {
				got = "refuses"
			}
			want := c.apt
			if c.hewn != "" {
				if want = c.hewn; want == c.apt {
					t.Error("the case says that apt differs, and it does not")
				}
			}
			if c.apt == "" || got != want {
				t.Errorf("got %q (%v), want %q", got, err, want)
			}
			slices.Reverse(c.have)
			if again, err := solve(t, c.have, ask); err == nil && again != got {
				t.Errorf("another order of the index gives %q", again)
			}
		})
	}
}
