package rust

import (
	"errors"
	"fmt"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
)

// manifest is a Cargo.toml as plain values: table, []any, string, bool, and literal for everything else.
type manifest struct {
	top table
	doc *tomldoc.Doc // where it all stands
}

type table = map[string]any

// literal is a number or a date as it is written.
type literal string

func parseManifest(file string, b []byte) (*manifest, error) {
	doc, err := tomldoc.Parse(file, b)
	if err != nil {
		return nil, err
	}
	return &manifest{plain(doc.Root.Value()).(table), doc}, nil
}

// at is the position of the value that keys lead to, or of the last table on the way.
func (m *manifest) at(keys ...string) diag.Position {
	v := m.doc.Root.Value()
	for _, k := range keys {
		if v.Kind != tomldoc.Object {
			break
		}
		next, ok := v.Table.Get(k)
		if !ok {
			break
		}
		v = next
	}
	return m.doc.At(v, strings.Join(keys, "."))
}

func plain(v tomldoc.Value) any {
	switch v.Kind {
	case tomldoc.Text:
		return v.Str
	case tomldoc.Bool:
		return v.Str == "true"
	case tomldoc.List:
		out := make([]any, len(v.Items))
		for i := range v.Items {
			out[i] = plain(v.Items[i])
		}
		return out
	case tomldoc.Object:
		out := make(table, v.Table.Len())
		for _, k := range v.Table.Keys() {
			item, _ := v.Table.Get(k)
			out[k] = plain(item)
		}
		return out
	}
	return literal(v.Str)
}

// sub is the table at key, nil if there is none.
func sub(t table, key string) table {
	s, _ := t[key].(table)
	return s
}

// texts is a list of strings, without whatever else is in it.
func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (m *manifest) packageTable() table {
	if p := sub(m.top, "package"); p != nil {
		return p
	}
	return sub(m.top, "project")
}

func (m *manifest) name() string {
	s, _ := m.packageTable()["name"].(string)
	return s
}

// inherited says that a value is `{ workspace = true, … }`.
func inherited(v any) bool {
	t, ok := v.(table)
	return ok && t["workspace"] == true
}

// dependencyTables are the names of the tables that hold dependencies.
var dependencyTables = []string{"dependencies", "dev-dependencies", "build-dependencies", "dev_dependencies", "build_dependencies"}

// dependencies gives all tables of dependencies.
func (m *manifest) dependencies() (all []table) {
	places := []table{m.top}
	targets := sub(m.top, "target")
	for _, k := range sortedKeys(targets) {
		places = append(places, sub(targets, k))
	}
	for _, p := range places {
		for _, k := range dependencyTables {
			if d := sub(p, k); d != nil {
				all = append(all, d)
			}
		}
	}
	return all
}

// inherits says whether any value is the workspace's.
func (m *manifest) inherits() bool {
	for _, t := range append(m.dependencies(), m.packageTable()) {
		for _, v := range t {
			if inherited(v) {
				return true
			}
		}
	}
	return inherited(m.top["lints"])
}

// settle replaces what m inherits by what the workspace has. up leads from m's directory to that of the workspace.
func (m *manifest) settle(w table, up string) error {
	pkg, from := m.packageTable(), sub(w, "package")
	for _, k := range sortedKeys(pkg) {
		if !inherited(pkg[k]) {
			continue
		}
		v, ok := from[k]
		if !ok {
			return fmt.Errorf("`package.%s` is the workspace's, which has no `workspace.package.%s`", k, k)
		}
		if s, isText := v.(string); isText && (k == "readme" || k == "license-file") {
			v = up + s
		}
		pkg[k] = v
	}
	delete(pkg, "workspace")
	for _, deps := range m.dependencies() {
		for _, k := range sortedKeys(deps) {
			if !inherited(deps[k]) {
				continue
			}
			v, err := settleDependency(k, deps[k].(table), sub(w, "dependencies"), up)
			if err != nil {
				return err
			}
			deps[k] = v
		}
	}
	if inherited(m.top["lints"]) {
		v := sub(w, "lints")
		if v == nil {
			return errors.New("`lints` are the workspace's, which has none")
		}
		m.top["lints"] = v
	}
	for _, k := range []string{"workspace", "patch", "replace", "profile"} { // of no use in a dependency
		delete(m.top, k)
	}
	return nil
}

// settleDependency is what the workspace says of a dependency, and what a member may add to it: features, whether it is
// optional, and default features where the workspace has switched them off.
func settleDependency(name string, own, all table, up string) (table, error) {
	out := table{}
	switch v := all[name].(type) {
	case string:
		out["version"] = v
	case table:
		for k, item := range v {
			out[k] = item
		}
	default:
		return nil, fmt.Errorf("dependency `%s` is the workspace's, which has no `workspace.dependencies.%s`", name, name)
	}
	if p, ok := out["path"].(string); ok {
		out["path"] = up + p
	}
	for _, k := range []string{"default-features", "default_features"} {
		if off := out["default-features"] == false || out["default_features"] == false; off && own[k] == true {
			delete(out, "default_features")
			out["default-features"] = true
		}
	}
	delete(out, "optional")
	for _, k := range []string{"optional", "public"} {
		if v, ok := own[k]; ok {
			out[k] = v
		}
	}
	if more, ok := own["features"].([]any); ok {
		first, _ := out["features"].([]any)
		out["features"] = append(first[:len(first):len(first)], more...)
	}
	return out, nil
}

// encode writes the manifest: plain values, then one table after the other, what they hold on one line each.
func (m *manifest) encode() []byte {
	var b strings.Builder
	b.WriteString("# The original manifest inherits from its workspace; this one stands alone.\n")
	var tables []string
	for _, k := range sortedKeys(m.top) {
		if _, ok := m.top[k].(table); ok {
			tables = append(tables, k)
			continue
		}
		b.WriteString(key(k) + " = ")
		inline(&b, m.top[k])
		b.WriteByte('\n')
	}
	for _, k := range tables {
		t := m.top[k].(table)
		fmt.Fprintf(&b, "\n[%s]\n", key(k))
		for _, name := range sortedKeys(t) {
			b.WriteString(key(name) + " = ")
			inline(&b, t[name])
			b.WriteByte('\n')
		}
	}
	return []byte(b.String())
}

func inline(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.WriteString(quote(v))
	case bool:
		fmt.Fprint(b, v)
	case literal:
		b.WriteString(string(v))
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			inline(b, item)
		}
		b.WriteByte(']')
	case table:
		b.WriteString("{ ")
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(key(k) + " = ")
			inline(b, v[k])
		}
		b.WriteString(" }")
	}
}
