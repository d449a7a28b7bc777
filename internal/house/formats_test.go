package house

import (
	"go/ast"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const formats = "docs/FORMATS.md"

// TestKeysAreDescribed wants every key of hewn.toml and sources.toml in FORMATS.md, as the head of a table or on a line.
func TestKeysAreDescribed(t *testing.T) {
	m := load(t)
	text := read(t, m, formats)
	n := 0
	for _, dir := range []string{"internal/workspace", "internal/pins"} {
		for _, f := range m.pkgs[dir].files {
			if f.test {
				continue
			}
			ast.Inspect(f.ast, func(node ast.Node) bool {
				field, ok := node.(*ast.Field)
				if !ok || field.Tag == nil {
					return true
				}
				key := tomlKey(field.Tag.Value)
				if key == "" || key == "-" {
					return true
				}
				n++
				if !regexp.MustCompile(`(?m)^(\[|(# )?)` + regexp.QuoteMeta(key) + `(\.|\]| = )`).MatchString(text) {
					t.Errorf("%s says nothing of the key `%s` of %s", formats, key, m.at(f, field.Pos()))
				}
				return true
			})
		}
	}
	if n < 10 {
		t.Errorf("only %d keys were found in the code: the test does not see them any more", n)
	}
}

// tomlKey is the name in the `toml:"…"` of a struct tag.
func tomlKey(tag string) string {
	s, err := strconv.Unquote(tag)
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(s, `toml:"`)
	key, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return ""
	}
	key, _, _ = strings.Cut(key, ",")
	return key
}

// TestStoreLayoutIsDescribed compares the layout in FORMATS.md with the one at the top of the store's code.
func TestStoreLayoutIsDescribed(t *testing.T) {
	m := load(t)
	layout := regexp.MustCompile(`(?m)^\s*<dir>/(v\d+/\S+)`)
	in := layout.FindAllStringSubmatch(packageDoc(m, "internal/store/disk"), -1)
	if len(in) == 0 {
		t.Fatal("the package comment of internal/store/disk shows no layout")
	}
	text := read(t, m, formats)
	for _, path := range in {
		if !strings.Contains(text, "| `"+path[1]+"` |") {
			t.Errorf("%s says nothing of `%s`", formats, path[1])
		}
	}
}

func packageDoc(m *module, dir string) string {
	var b strings.Builder
	for _, f := range m.pkgs[dir].files {
		if !f.test && f.ast.Doc != nil {
			b.WriteString(f.ast.Doc.Text())
		}
	}
	return b.String()
}
