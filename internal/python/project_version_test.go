package python

import (
	"strings"
	"testing"
)

func TestChosenVersion(t *testing.T) {
	for _, c := range []struct{ text, requires, want string }{
		{"3.14\n", ">=3.11", "3.14"},
		{"# work\n\n3.13.2\n3.12\n", ">=3.13,<3.14", "3.13"},
		{"cpython@3.13\n", "", "3.13"},
		{"cpython-3.13.2\n", "~=3.13.0", "3.13"},
		{"3.14\n", "==3.14.*", "3.14"},
		{"3.10\n", ">=3.11", "error .python-version:1: Python 3.10 is not what"},
		{"\npypy3.10\n", ">=3.8", "error .python-version:2: `pypy3.10` is no version of CPython"},
		{"3\n", ">=3.8", "error .python-version:1: `3` is no version"},
		{"# nothing\n", ">=3.8", "error .python-version:1: names no version"},
	} {
		got, err := chosenVersion([]byte(c.text), c.requires)
		if err != nil {
			got = "error " + err.Error()
		}
		if got != c.want && !(err != nil && strings.HasPrefix(got, c.want)) {
			t.Errorf("%q with %q: got %s, want %s", c.text, c.requires, got, c.want)
		}
	}
}
