package poetry

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"hewn.example/hewn/internal/lock/tomldoc"
)

// The parts of pyproject.toml that Poetry locks for: of [project], and of [tool.poetry].
var (
	projectKeys = [...]string{"dependencies", "optional-dependencies", "requires-python"}
	poetryKeys  = [...]string{"dependencies", "dev-dependencies", "extras", "group", "source"}
)

// ContentHash is what Poetry writes into a lock as `content-hash`: the hash of the parts of pyproject.toml that it locked
// for, as JSON in Python's spelling. Poetry before 2.3 left [dependency-groups] out.
func ContentHash(file string, pyproject []byte, groups bool) (string, error) {
	doc, err := tomldoc.Parse(file, pyproject)
	if err != nil {
		return "", err
	}
	c := doc.Cursor(&err)
	project := object{}
	if p, ok := c.Sub("project"); ok {
		for _, k := range projectKeys {
			project.copy(p, k)
		}
	}
	whole := object{}
	if len(project) > 0 {
		whole["project"] = project.json()
	}
	if g, ok := c.Sub("dependency-groups"); ok && groups && g.Table().Len() > 0 {
		whole.copy(c, "dependency-groups")
	}
	tool := object{}
	t, _ := c.Sub("tool")
	p, isPoetry := t.Sub("poetry")
	for _, k := range poetryKeys {
		switch {
		case isPoetry && c.Has("tool") && p.Has(k):
			tool.copy(p, k)
		case k != "group" && len(whole) == 0:
			tool[k] = "null"
		}
	}
	if len(whole) > 0 {
		whole["tool"] = object{"poetry": tool.json()}.json()
	} else {
		whole = tool
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(whole.json()))), nil
}

// object is a JSON object: the text of each value by key.
type object map[string]string

// copy takes the value of a key, where there is one.
func (o object) copy(c tomldoc.Cursor, key string) {
	if v, ok := c.Table().Get(key); ok {
		o[key] = jsonOf(c, key, v)
	}
}

// json writes the object as Python's json.dumps(…, sort_keys=True) does.
func (o object) json() string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = quote(k) + ": " + o[k]
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func jsonOf(c tomldoc.Cursor, key string, v tomldoc.Value) string {
	switch v.Kind {
	case tomldoc.Text:
		return quote(v.Str)
	case tomldoc.Bool:
		return v.Str
	case tomldoc.List:
		items := make([]string, len(v.Items))
		for i := range v.Items {
			items[i] = jsonOf(c, key, v.Items[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	case tomldoc.Object:
		o := object{}
		for _, k := range v.Table.Keys() {
			item, _ := v.Table.Get(k)
			o[k] = jsonOf(c, key, item)
		}
		return o.json()
	}
	if n, err := strconv.ParseInt(v.Str, 0, 64); err == nil && v.Kind == tomldoc.Number {
		return strconv.FormatInt(n, 10)
	}
	c.Fail(key, "%q has no place in what Poetry reads", v.Str)
	return "null"
}

// quote writes a string as Python's json does: ASCII only.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if short := strings.IndexRune("\"\\\n\r\t\b\f", r); short >= 0 {
			b.WriteByte('\\')
			b.WriteByte(`"\nrtbf`[short])
			continue
		}
		if r >= ' ' && r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", u)
		}
	}
	b.WriteByte('"')
	return b.String()
}
