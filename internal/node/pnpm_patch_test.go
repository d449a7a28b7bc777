package node

import (
	"strings"
	"testing"
)

// TestPatchText has what pnpm makes of patches that do not fit to the letter.
func TestPatchText(t *testing.T) {
	const head = "diff --git a/f b/f\n--- a/f\n+++ b/f\n"
	far := strings.Repeat("x\n", 19)
	tests := []struct{ name, text, patch, want string }{
		{"in place", "a\nb\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", "a\nB\nc\n"},
		{"further down", far + "a\nb\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", far + "a\nB\nc\n"},
		{"too far down", "x\nx\n" + far + "a\nb\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", ""},
		{"further up", "a\nb\nc\n", "@@ -3,3 +3,3 @@\n a\n-b\n+B\n c\n", "a\nB\nc\n"},
		{"white space at the end", "a \nb\t\nc\r\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", "a \nB\nc\r\n"},
		{"an empty line of context without its space", "a\n\nc\n", "@@ -1,3 +1,3 @@\n a\n\n-c\n+C\n", "a\n\nC\n"},
		{"two changes", "a\nb\nc\nd\ne\n", "@@ -1,2 +1,3 @@\n a\n+A\n b\n@@ -4,2 +5,1 @@\n d\n-e\n", "a\nA\nb\nc\nd\n"},
		{"line end added", "a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n", "a\nb\n"},
		{"line end removed", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n", "a\nb"},
		{"something else", "a\nz\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			changes, err := parsePatch([]byte(head + c.patch))
			if err != nil {
				t.Fatal(err)
			}
			got, err := patchText(c.text, changes[0].TextFragments)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestParsePatchRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", "is no path of a package"},
		{"diff --git a/x b/x\nBinary files a/x and b/x differ\n", "is a binary file"},
		{"--- a/x\n+++ b/x\n@@ -1,9 +1 @@\n-a\n+b\n", "gitdiff"},
	} {
		if _, err := parsePatch([]byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q: %v", c[0], err)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add("a\nb\nc\n", []byte("--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"))
	f.Add("", []byte("diff --git a/f b/f\nnew file mode 100755\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n"))
	f.Fuzz(func(t *testing.T, text string, patch []byte) {
		changes, err := parsePatch(patch)
		if err != nil {
			return
		}
		for _, c := range changes {
			if strings.Contains("/"+c.NewName+"/", "/../") {
				t.Errorf("%q escapes", c.NewName)
			}
			_, _ = patchText(text, c.TextFragments)
		}
	})
}
