// Package tomldoc reads TOML into values that know where they stand, so that the readers of lock files and project
// files can name file, line and key of whatever they refuse. It is linear in the size of the document.
//
// It is for reading only, and for the data model only: numbers and dates stay text. A Doc is immutable and may be used
// from many goroutines.
package tomldoc

import (
	"bytes"
	"errors"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"hewn.example/hewn/internal/diag"
)

// MaxSize is the largest document that Parse reads. The largest lock known here has 3 MB.
const MaxSize = 64 << 20

// Kind is what a Value is.
type Kind uint8

// The kinds of values. Everything that is neither text, list nor table keeps its source text.
const (
	Text Kind = iota
	Bool
	Number
	Time
	List
	Object
)

var kindNames = [...]string{"a string", "a boolean", "a number", "a date", "an array", "a table"}

// String is the kind in words, for errors.
func (k Kind) String() string { return kindNames[k] }

// Value is one value of a document.
type Value struct {
	Kind  Kind
	Str   string  // of Text: the text; of Bool, Number and Time: as it is written
	Items []Value // of List
	Table *Table  // of Object
	off   int
}

// Table is a table: its keys in the order of the document.
type Table struct {
	entries []entry
	index   map[string]int // only where there are many entries
	off     int
	closed  bool // an inline table, or one that dotted keys made: no header may reopen it
	defined bool // its header was seen
}

type entry struct {
	key   string
	value Value
	aot   bool // a list that [[headers]] made
}

// Doc is a document.
type Doc struct {
	File string // for positions
	Root *Table
	nl   []int // offsets of newlines
}

// indexFrom is the number of entries from which a table gets an index: below, a scan is faster than a map.
const indexFrom = 12

// Get looks up a key.
func (t *Table) Get(key string) (Value, bool) {
	if i := t.find(key); i >= 0 {
		return t.entries[i].value, true
	}
	return Value{}, false
}

// Keys gives the keys in the order of the document.
func (t *Table) Keys() []string {
	out := make([]string, len(t.entries))
	for i := range t.entries {
		out[i] = t.entries[i].key
	}
	return out
}

// Len is the number of keys.
func (t *Table) Len() int { return len(t.entries) }

// Value is the table as a value, for positions.
func (t *Table) Value() Value { return Value{Kind: Object, Table: t, off: t.off} }

func (t *Table) find(key string) int {
	if t.index != nil {
		if i, ok := t.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range t.entries {
		if t.entries[i].key == key {
			return i
		}
	}
	return -1
}

func (t *Table) add(e entry) *entry {
	t.entries = append(t.entries, e)
	switch {
	case t.index != nil:
		t.index[e.key] = len(t.entries) - 1
	case len(t.entries) >= indexFrom:
		t.index = make(map[string]int, 2*indexFrom)
		for i := range t.entries {
			t.index[t.entries[i].key] = i
		}
	}
	return &t.entries[len(t.entries)-1]
}

// At is the position of v. key is the dotted key by which a person finds it.
func (d *Doc) At(v Value, key string) diag.Position { return d.position(v.off, key) }

func (d *Doc) position(off int, key string) diag.Position {
	line := sort.SearchInts(d.nl, off)
	start := 0
	if line > 0 {
		start = d.nl[line-1] + 1
	}
	return diag.Position{File: d.File, Line: line + 1, Col: off - start + 1, Key: key}
}

// Refuse is a Problem that blames v.
func (d *Doc) Refuse(v Value, key, format string, args ...any) *diag.Problem {
	return diag.Inputf("bad-file", format, args...).At(d.At(v, key))
}

// Parse reads a document. Errors are Problems with a position in file.
func Parse(file string, data []byte) (*Doc, error) {
	d := &Doc{File: file, Root: &Table{}}
	if len(data) > MaxSize {
		return nil, diag.Inputf("bad-file", "has %d bytes, the limit is %d", len(data), MaxSize).At(diag.Position{File: file})
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors write a byte order mark; TOML says to skip it
	d.nl = make([]int, 0, len(data)/40)
	for i, c := range data {
		if c == '\n' {
			d.nl = append(d.nl, i)
		}
	}
	var p unstable.Parser
	p.Reset(data)
	b := builder{d: d, cur: d.Root}
	for p.NextExpression() {
		if err := b.expression(p.Expression()); err != nil {
			return nil, err
		}
	}
	if err := p.Error(); err != nil {
		return nil, d.syntax(data, err)
	}
	return d, nil
}

func (d *Doc) syntax(data []byte, err error) error {
	off := len(data)
	text := err.Error()
	var pe *unstable.ParserError
	if errors.As(err, &pe) {
		text = pe.Message
		// The highlight is a slice of data: what is left behind it in the array tells where it starts.
		if o := cap(data) - cap(pe.Highlight); len(pe.Highlight) > 0 && o >= 0 && o <= len(data) {
			off = o
		}
	}
	p := diag.Inputf("bad-file", "is not TOML: %s", text).At(d.position(off, ""))
	if d.conflict(data, p.Pos.Line) {
		p.What = "is not TOML: a merge left a conflict here"
		return p.Hint("take one side of the file, then lock again with its tool")
	}
	return p
}

// conflict says that a line is one of the marks that a merge leaves.
func (d *Doc) conflict(data []byte, line int) bool {
	start := 0
	if line > 1 && line-2 < len(d.nl) {
		start = d.nl[line-2] + 1
	}
	for _, mark := range [...]string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"} {
		if bytes.HasPrefix(data[start:], []byte(mark)) {
			return true
		}
	}
	return false
}

// builder turns the parser's expressions into tables.
type builder struct {
	d   *Doc
	cur *Table
}

func (b *builder) expression(n *unstable.Node) error {
	switch n.Kind {
	case unstable.KeyValue:
		return b.keyValue(b.cur, n)
	case unstable.Table:
		return b.header(n, false)
	case unstable.ArrayTable:
		return b.header(n, true)
	}
	return nil
}

// header handles `[a.b]` and `[[a.b]]`.
func (b *builder) header(n *unstable.Node, list bool) error {
	t, it := b.d.Root, n.Key()
	for it.Next() {
		k := it.Node()
		key, off, last := string(k.Data), int(k.Raw.Offset), it.IsLast()
		i := t.find(key)
		switch {
		case i < 0 && last && list:
			sub := &Table{off: off, defined: true}
			t.add(entry{key: key, aot: true, value: Value{Kind: List, off: off, Items: []Value{sub.Value()}}})
			t = sub
		case i < 0:
			sub := &Table{off: off, defined: last}
			t.add(entry{key: key, value: sub.Value()})
			t = sub
		case last && list:
			e := &t.entries[i]
			if !e.aot {
				return b.twice(off, key)
			}
			sub := &Table{off: off, defined: true}
			e.value.Items = append(e.value.Items, sub.Value())
			t = sub
		default:
			e := &t.entries[i]
			switch {
			case e.aot && !last:
				t = e.value.Items[len(e.value.Items)-1].Table
			case e.value.Kind == Object && !last && e.value.Table.closed && !e.value.Table.defined:
				t = e.value.Table // made by dotted keys: it may get tables below it, but not be opened again
			case e.value.Kind == Object && !e.value.Table.closed && !(last && e.value.Table.defined):
				t = e.value.Table
				t.defined = t.defined || last
			default:
				return b.twice(off, key)
			}
		}
	}
	b.cur = t
	return nil
}

func (b *builder) twice(off int, key string) error {
	return diag.Inputf("bad-file", "the key is defined twice").At(b.d.position(off, key))
}

func (b *builder) keyValue(t *Table, n *unstable.Node) error {
	it := n.Key()
	for it.Next() {
		k := it.Node()
		key, off := string(k.Data), int(k.Raw.Offset)
		i := t.find(key)
		if it.IsLast() {
			if i >= 0 {
				return b.twice(off, key)
			}
			v, err := b.value(n.Value(), off)
			if err != nil {
				return err
			}
			t.add(entry{key: key, value: v})
			return nil
		}
		switch {
		case i < 0:
			sub := &Table{off: off, closed: true}
			t.add(entry{key: key, value: sub.Value()})
			t = sub
		case t.entries[i].value.Kind == Object && t.entries[i].value.Table.closed && !t.entries[i].value.Table.defined:
			t = t.entries[i].value.Table
		default:
			return b.twice(off, key)
		}
	}
	return nil
}

// value converts a value; off stands in where the parser keeps no position (lists).
func (b *builder) value(n *unstable.Node, off int) (Value, error) {
	if n.Raw.Length > 0 {
		off = int(n.Raw.Offset)
	}
	v := Value{off: off, Str: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.Kind = Text
	case unstable.Bool:
		v.Kind = Bool
	case unstable.Integer, unstable.Float:
		v.Kind = Number
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		v.Kind = Time
	case unstable.Array:
		v.Kind = List
		for it := n.Children(); it.Next(); {
			item, err := b.value(it.Node(), off)
			if err != nil {
				return v, err
			}
			v.Items = append(v.Items, item)
		}
	case unstable.InlineTable:
		// Inside, dotted keys may extend what dotted keys made; from outside nothing may, hence defined.
		v.Kind, v.Table = Object, &Table{off: off, closed: true, defined: true}
		for it := n.Children(); it.Next(); {
			if err := b.keyValue(v.Table, it.Node()); err != nil {
				return v, err
			}
		}
	default:
		return v, diag.Inputf("bad-file", "a value of kind %s cannot be read", n.Kind).At(b.d.position(off, ""))
	}
	return v, nil
}

// Cursor reads one table and remembers the first thing that was wrong, so that a reader checks for errors once.
type Cursor struct {
	doc  *Doc
	t    *Table
	path string
	err  *error
}

// Cursor starts at the document's root; the first error of it and of all cursors made from it is kept in err.
func (d *Doc) Cursor(err *error) Cursor { return Cursor{doc: d, t: d.Root, err: err} }

// Table is the table the cursor reads.
func (c Cursor) Table() *Table { return c.t }

// Key is the dotted key of key in the cursor's table.
func (c Cursor) Key(key string) string {
	if c.path == "" || key == "" {
		return c.path + key
	}
	return c.path + "." + key
}

// Named gives the cursor another name in errors: a package's own name instead of its place in a list.
func (c Cursor) Named(path string) Cursor { c.path = path; return c }

// Fail records a problem with the value of key, or with the table where key is empty or missing.
func (c Cursor) Fail(key, format string, args ...any) {
	if *c.err != nil {
		return
	}
	v, ok := c.t.Get(key)
	if !ok {
		v = c.t.Value()
	}
	*c.err = c.doc.Refuse(v, c.Key(key), format, args...)
}

// FailHint is Fail with what to do next.
func (c Cursor) FailHint(hint, key, format string, args ...any) {
	was := c.OK()
	c.Fail(key, format, args...)
	var p *diag.Problem
	if was && errors.As(*c.err, &p) {
		*c.err = p.Hint("%s", hint)
	}
}

// OK says that nothing was wrong so far.
func (c Cursor) OK() bool { return *c.err == nil }

// Position is the position of the value of key, or of the table.
func (c Cursor) Position(key string) diag.Position {
	if v, ok := c.t.Get(key); ok {
		return c.doc.At(v, c.Key(key))
	}
	return c.doc.At(c.t.Value(), c.Key(key))
}

// Positions are the positions of some keys, also of those that are not there.
func (c Cursor) Positions(keys ...string) map[string]diag.Position {
	out := make(map[string]diag.Position, len(keys))
	for _, k := range keys {
		out[k] = c.Position(k)
	}
	return out
}

func (c Cursor) get(key string, want Kind) (Value, bool) {
	v, ok := c.t.Get(key)
	if ok && v.Kind != want {
		c.Fail(key, "must be %s, but is %s", want, v.Kind)
		return Value{}, false
	}
	return v, ok
}

// Text reads a string; a missing one is empty.
func (c Cursor) Text(key string) string {
	v, _ := c.get(key, Text)
	return v.Str
}

// Need reads a string that must be there and not empty.
func (c Cursor) Need(key string) string {
	v, ok := c.get(key, Text)
	if c.OK() && (!ok || v.Str == "") {
		c.Fail(key, "`%s` is missing", key)
	}
	return v.Str
}

// Has says whether key is there.
func (c Cursor) Has(key string) bool { return c.t.find(key) >= 0 }

// Bool reads a boolean; a missing one is false.
func (c Cursor) Bool(key string) bool {
	v, _ := c.get(key, Bool)
	return v.Str == "true"
}

// Number reads a whole number that is not negative; a missing one is 0.
func (c Cursor) Number(key string) int64 {
	v, ok := c.get(key, Number)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(v.Str, "_", ""), 10, 64)
	if err != nil || n < 0 {
		c.Fail(key, "%q is not a whole number", v.Str)
		return 0
	}
	return n
}

// Texts reads a list of strings; a missing one is nil.
func (c Cursor) Texts(key string) []string {
	v, ok := c.get(key, List)
	if !ok || len(v.Items) == 0 {
		return nil
	}
	out := make([]string, 0, len(v.Items))
	for i, item := range v.Items {
		if item.Kind != Text {
			c.Fail(key, "item %d must be a string, but is %s", i+1, item.Kind)
			return nil
		}
		out = append(out, item.Str)
	}
	return out
}

// Sub is a cursor for the table at key; ok is false where there is none.
func (c Cursor) Sub(key string) (sub Cursor, ok bool) {
	v, ok := c.get(key, Object)
	if !ok {
		return c, false
	}
	return Cursor{doc: c.doc, t: v.Table, path: c.Key(key), err: c.err}, true
}

// Each calls f for every table of the list at key.
func (c Cursor) Each(key string, f func(Cursor)) {
	v, _ := c.get(key, List)
	path := c.Key(key)
	for i, item := range v.Items {
		if item.Kind != Object {
			c.Fail(key, "item %d must be a table, but is %s", i+1, item.Kind)
		}
		if !c.OK() {
			return
		}
		f(Cursor{doc: c.doc, t: item.Table, path: path, err: c.err})
	}
}
