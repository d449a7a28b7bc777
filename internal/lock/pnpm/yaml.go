package pnpm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"hewn.example/hewn/internal/diag"
)

const (
	// maxSize is the largest lock that is read. The largest known has 4 MB.
	maxSize = 256 << 20
	// maxNesting bounds how deep collections may lie in each other; pnpm's go five deep.
	maxNesting = 64
)

// maxChunk is how much text goes to the YAML library at once: its time grows faster than the text.
const maxChunk = 8 << 10

type reader struct {
	file string
	// within says that the chunk goes on with an entry that an earlier one began.
	within bool
}

func (r *reader) problem(code string, line int32, key, format string, args ...any) *diag.Problem {
	return diag.Inputf(code, format, args...).At(diag.Position{File: r.file, Line: int(line), Key: key})
}

// chunk is a piece of the lock that is YAML by itself: a section, or some entries of a long one.
type chunk struct {
	section string // its key; "" where only the text is known
	head    string // the section's own line, where text does not have it
	text    []byte
	base    int  // lines of the file before the first of head and text
	more    bool // the section goes on from an earlier chunk
	within  bool // and so does the entry
}

// chunks cuts the lock at its sections, and sections at their entries. What is cut wrongly, since it is written as pnpm
// never does, is an error when it is read.
func (r *reader) chunks(text []byte, skipped int) ([]chunk, error) {
	var out []chunk
	cut, line, count := 0, skipped, skipped // where the open chunk begins, at which line; lines until now
	var entry, list string                  // the last lines that were indented by two and by four: the importer and its list
	flush := func(end int) {
		if n := len(out); n > 0 {
			out[n-1].text, out[n-1].base = text[cut:end], line-strings.Count(out[n-1].head, "\n")
		}
		cut, line = end, count
	}
	for off := 0; off < len(text); count++ {
		end := off + bytes.IndexByte(text[off:], '\n') + 1
		if end == off {
			end = len(text)
		}
		l := bytes.TrimRight(text[off:end], "\n")
		switch {
		case len(l) == 0 || l[0] == '#' || l[0] == ' ' && len(bytes.TrimSpace(l)) == 0:
		case l[0] != ' ':
			key, rest, ok := strings.Cut(string(l), ":")
			if !ok || !sectionName(key) || rest != "" && rest[0] != ' ' {
				return nil, r.problem("lock-syntax", int32(count+1), "", "this is not YAML as pnpm writes it: a section must begin here")
			}
			flush(off)
			out = append(out, chunk{section: key})
		default:
			indent := len(l) - len(bytes.TrimLeft(l, " "))
			if l[indent] == '#' || len(out) == 0 {
				break
			}
			section := out[len(out)-1].section
			if indent == 2 {
				entry, list = string(l), ""
			} else if indent == 4 {
				list = string(l)
			}
			if off-cut < maxChunk || !long[section] {
				break
			}
			if head := section + ":\n"; indent == 2 {
				flush(off)
				out = append(out, chunk{section: section, head: head, more: true})
			} else if indent == 6 && section == "importers" && list != "" {
				flush(off)
				out = append(out, chunk{section: section, head: head + entry + "\n" + list + "\n", more: true, within: true})
			}
		}
		off = end
	}
	flush(len(text))
	return out, nil
}

// long are the sections that are cut.
var long = map[string]bool{"importers": true, "packages": true, "snapshots": true}

func sectionName(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// parse gives the section of a chunk with its value.
func (r *reader) parse(c chunk) (pair, error) {
	if line := tooDeep(c.text); line > 0 {
		return pair{}, r.problem("lock-syntax", int32(c.base+line), c.section, "collections lie more than %d deep in each other", maxNesting)
	}
	text := c.text
	if c.head != "" {
		text = append([]byte(c.head), text...)
	}
	f, err := parseYAML(text)
	if err != nil {
		line, why := 1, err.Error()
		var syn yaml.Error
		if errors.As(err, &syn) {
			why = syn.GetMessage()
			if t := syn.GetToken(); t != nil && t.Position != nil {
				line = min(max(t.Position.Line, 1), bytes.Count(text, []byte("\n"))+1)
			}
		}
		return pair{}, r.problem("lock-syntax", int32(c.base+line), c.section, "this is not YAML: %s", why)
	}
	if len(f.Docs) != 1 {
		return pair{}, r.problem("lock-syntax", int32(c.base+1), c.section, "this is not one YAML document")
	}
	top, err := r.pairs(fromAST(f.Docs[0].Body, c.base), "")
	if err == nil && (len(top) != 1 || top[0].key != c.section) {
		err = r.problem("lock-syntax", int32(c.base+1), c.section, "this is not YAML as pnpm writes it")
	}
	if err != nil {
		return pair{}, err
	}
	return top[0], nil
}

// lockDocument leaves out the first document, which newer versions of pnpm keep for themselves: it ends at the first
// line that is "---". skipped is the number of its lines.
func (r *reader) lockDocument(text []byte) (lock []byte, skipped int, err error) {
	rest, ok := bytes.CutPrefix(text, []byte("---\n"))
	if !ok {
		return text, 0, nil
	}
	i := bytes.Index(rest, []byte("\n---\n"))
	if i < 0 {
		return nil, 0, r.problem("lock-syntax", 1, "", "the file has only its first document, which is not the lock").
			Hint("run `pnpm install --lockfile-only` and commit the result")
	}
	return rest[i+len("\n---\n"):], bytes.Count(rest[:i], []byte("\n")) + 3, nil
}

// parseYAML keeps faults of the library from ending the program: locks come from outside.
func parseYAML(text []byte) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.ParseBytes(text, 0)
}

// tooDeep gives the line at which collections lie deeper than maxNesting, or 0. It is there for the sake of the parser,
// which recurses.
func tooDeep(text []byte) int {
	depth, line := 0, 1
	lineStart, dashes := true, 0
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\n' {
			line, lineStart, dashes, quote = line+1, true, 0, 0
			continue
		}
		if lineStart {
			switch c {
			case '-', '?', ':':
				if dashes++; dashes > maxNesting {
					return line
				}
				continue
			case ' ', '\t', '\r':
				continue
			}
			lineStart = false
		}
		switch {
		case quote == '"' && c == '\\':
			i++
			if i < len(text) && text[i] == '\n' {
				i--
			}
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && i > 0 && strings.IndexByte(" [{,:\n", text[i-1]) >= 0:
			quote = c
		case c == '[' || c == '{':
			// A bracket within plain text counts too; texts do not have that many without closing them.
			if depth++; depth > maxNesting {
				return line
			}
		case (c == ']' || c == '}') && depth > 0:
			depth--
		}
	}
	return 0
}

// pairs gives the entries of a mapping; nothing at all counts as an empty one.
func (r *reader) pairs(n node, at string) ([]pair, error) {
	if n.kind == nothing {
		return nil, nil
	}
	if n.kind != mapping {
		return nil, r.problem("lock-value", n.line, at, "this must be a mapping, not %s", n)
	}
	if p, twice := repeated(n.pairs); twice {
		return nil, r.problem("lock-value", p.line, join(at, p.key), "the key stands twice")
	}
	return n.pairs, nil
}

// repeated finds a key that stands twice.
func repeated(pairs []pair) (pair, bool) {
	const few = 12
	if len(pairs) <= few {
		for i := range pairs {
			for j := range i {
				if pairs[i].key == pairs[j].key {
					return pairs[i], true
				}
			}
		}
		return pair{}, false
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		if seen[p.key] {
			return p, true
		}
		seen[p.key] = true
	}
	return pair{}, false
}

func (r *reader) text(p pair, at string) (string, error) {
	if !p.value.isText() && (p.value.kind != nothing || p.value.text == "") {
		return "", r.problem("lock-value", p.line, join(at, p.key), "this must be text, not %s", p.value)
	}
	return p.value.text, nil
}

func (r *reader) flag(p pair, at string) (bool, error) {
	if p.value.kind != truth {
		return false, r.problem("lock-value", p.line, join(at, p.key), "this must be true or false")
	}
	return p.value.text == "true", nil
}

// texts reads a list; a single text is a list of one.
func (r *reader) texts(p pair, at string) ([]string, error) {
	if p.value.isText() {
		return []string{p.value.text}, nil
	}
	if p.value.kind != list {
		return nil, r.problem("lock-value", p.line, join(at, p.key), "this must be a list, not %s", p.value)
	}
	out := make([]string, 0, len(p.value.pairs))
	for _, q := range p.value.pairs {
		v := q.value
		if !v.isText() {
			return nil, r.problem("lock-value", v.line, join(at, p.key), "this must be a list of texts")
		}
		out = append(out, v.text)
	}
	return out, nil
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
