package pnpm

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// quick reads YAML in the narrow form in which pnpm writes it: mappings and lists of texts, two spaces a level, a value on
// the line of its key or below it. It says false of everything else, valid or not, which is the YAML library's business;
// what it reads means the same there. Its time is linear. Lines are counted from skipped.
func quick(text []byte, skipped int) ([]pair, bool) {
	if !plainCharacters(text) {
		return nil, false
	}
	s := quickScanner{rest: string(text), line: int32(skipped)}
	s.next()
	top, ok := s.mapping(0)
	return top, ok && s.indent < 0
}

// plainCharacters says that there is nothing in the text but what stands for itself in YAML.
func plainCharacters(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c < ' ' && c != '\n' || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r >= 0x80 && r <= 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == utf8.RuneError || r > 0xffff
	})
}

// quickScanner goes from line to line, without the empty ones.
type quickScanner struct {
	rest   string
	line   int32
	indent int    // of the current line; negative: there is none
	text   string // the current line, without what it is indented by
}

func (s *quickScanner) next() {
	for s.rest != "" {
		line, rest, _ := strings.Cut(s.rest, "\n")
		s.rest = rest
		s.line++
		if s.text = strings.TrimLeft(line, " "); s.text != "" {
			s.indent = len(line) - len(s.text)
			return
		}
		if line != "" {
			break // spaces alone
		}
	}
	s.indent, s.text = -1, ""
	if s.rest != "" {
		s.indent = 1 // fits nowhere
	}
}

func (s *quickScanner) mapping(indent int) ([]pair, bool) {
	var out []pair
	for s.indent == indent {
		key, rest, ok := quickKey(s.text, false)
		if !ok || indent == 0 && (!sectionName(key) || s.text[0] != key[0]) {
			return nil, false
		}
		p := pair{key: key, line: s.line}
		switch {
		case rest == "":
			p.value, ok = s.below(indent + 2)
		case rest[0] != ' ' || len(rest) == 1:
			return nil, false
		case rest[1] == '|' || rest[1] == '>':
			p.value, ok = s.block(rest[1:], indent+2)
		default:
			p.value, ok = quickInline(rest[1:], s.line)
			s.next()
		}
		if !ok {
			return nil, false
		}
		out = append(out, p)
	}
	return out, len(out) > 0 && s.indent < indent && noneTwice(out)
}

// noneTwice says that no two pairs have one key. Mostly they are sorted, which is quick to see.
func noneTwice(pairs []pair) bool {
	sorted := true
	for i := 1; i < len(pairs) && sorted; i++ {
		sorted = pairs[i-1].key < pairs[i].key
	}
	if sorted {
		return true
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		if seen[p.key] {
			return false
		}
		seen[p.key] = true
	}
	return true
}

// below reads what stands under its key.
func (s *quickScanner) below(indent int) (n node, ok bool) {
	s.next()
	if s.indent != indent {
		return n, false
	}
	n.line = s.line
	if !strings.HasPrefix(s.text, "- ") {
		n.kind = mapping
		n.pairs, ok = s.mapping(indent)
		return n, ok
	}
	n.kind = list
	for ; s.indent == indent && strings.HasPrefix(s.text, "- "); s.next() {
		v, ok := quickScalar(s.text[2:], false, s.line)
		if !ok {
			return n, false
		}
		n.pairs = append(n.pairs, pair{value: v})
	}
	return n, s.indent < indent
}

// block reads a text of several lines, as long as they are all indented alike.
func (s *quickScanner) block(head string, indent int) (n node, ok bool) {
	n = node{kind: scalar, line: s.line}
	between := "\n"
	switch head {
	case "|-", "|":
	case ">-", ">":
		between = " "
	default:
		return n, false
	}
	var lines []string
	for {
		line, rest, _ := strings.Cut(s.rest, "\n")
		body := strings.TrimLeft(line, " ")
		if body == "" && between == "\n" && len(lines) > 0 && line == "" {
			// An empty line within the text, or the one that ends it.
			if after := strings.TrimLeft(rest, "\n"); !strings.HasPrefix(after, strings.Repeat(" ", indent)) {
				break
			}
			lines = append(lines, "")
		} else if body == "" || len(line)-len(body) < indent {
			break
		} else if len(line)-len(body) > indent || strings.HasSuffix(body, " ") {
			return n, false
		} else {
			lines = append(lines, body)
		}
		s.rest = rest
		s.line++
	}
	if len(lines) == 0 {
		return n, false
	}
	if n.text = strings.Join(lines, between); len(head) == 1 {
		n.text += "\n"
	}
	s.next()
	return n, true
}

// quickKey splits a line behind the colon of its key. flow says that it stands between brackets.
func quickKey(s string, flow bool) (key, rest string, ok bool) {
	if s[0] == '\'' || s[0] == '"' {
		key, rest, ok = quickQuoted(s)
		if !ok || rest == "" || rest[0] != ':' {
			return "", "", false
		}
		return key, rest[1:], true
	}
	i := strings.Index(s, ": ")
	if i < 0 {
		if i = len(s) - 1; s[i] != ':' {
			return "", "", false
		}
	}
	return s[:i], s[i+1:], quickPlain(s[:i], flow) && len(s[:i]) < 1000
}

// quickInline reads a value on the line of its key.
func quickInline(s string, line int32) (n node, ok bool) {
	if s[0] != '{' && s[0] != '[' {
		return quickScalar(s, false, line)
	}
	closing := byte('}')
	if n.kind, n.line = mapping, line; s[0] == '[' {
		n.kind, closing = list, ']'
	}
	if s[len(s)-1] != closing {
		return n, false
	}
	for s = s[1 : len(s)-1]; s != ""; {
		var p pair
		if n.kind == mapping {
			key, rest, ok := quickKey(s, true)
			if !ok || len(rest) < 2 || rest[0] != ' ' {
				return n, false
			}
			p.key, p.line, s = key, line, rest[1:]
		}
		var part string
		if part, s, ok = quickPart(s); !ok {
			return n, false
		}
		if p.value, ok = quickScalar(part, true, line); !ok {
			return n, false
		}
		n.pairs = append(n.pairs, p)
	}
	return n, n.kind != mapping || noneTwice(n.pairs)
}

// quickPart cuts what is between commas.
func quickPart(s string) (part, rest string, ok bool) {
	end := strings.Index(s, ", ")
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		_, behind, ok := quickQuoted(s)
		if !ok || behind != "" && !strings.HasPrefix(behind, ", ") {
			return "", "", false
		}
		if end = len(s) - len(behind); behind == "" {
			end = -1
		}
	}
	if end < 0 {
		return s, "", s != ""
	}
	return s[:end], s[end+2:], end > 0 && len(s) > end+2
}

// quickScalar reads all of s as one text. flow says that it stands between brackets.
func quickScalar(s string, flow bool, line int32) (node, bool) {
	if s == "" {
		return node{}, false
	}
	if s[0] == '\'' || s[0] == '"' {
		text, rest, ok := quickQuoted(s)
		return node{kind: scalar, line: line, text: text}, ok && rest == ""
	}
	if !quickPlain(s, flow) {
		return node{}, false
	}
	switch s {
	case "true", "false":
		return node{kind: truth, line: line, text: s}, true
	}
	return node{kind: scalar, line: line, text: s}, true
}

// quickQuoted takes a quoted text off the beginning of s.
func quickQuoted(s string) (text, rest string, ok bool) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			return "", "", false
		case s[i] != quote:
		case quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			if text = s[1:i]; quote == '\'' && strings.Contains(text, "''") {
				text = strings.ReplaceAll(text, "''", "'")
			}
			return text, s[i+1:], true
		}
	}
	return "", "", false
}

// quickPlain says that s is a text without quotes, and nothing that YAML has another meaning for.
func quickPlain(s string, flow bool) bool {
	if s == "" || strings.IndexByte("-?:,[]{}#&*!|>'\"%@`=+ ", s[0]) >= 0 || s[len(s)-1] == ' ' || s[len(s)-1] == ':' || reserved(s) {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case ':':
			if s[i+1] == ' ' || flow && strings.IndexByte(",[]{}", s[i+1]) >= 0 {
				return false
			}
		case '#':
			if s[i-1] == ' ' {
				return false
			}
		case ',', '[', ']', '{', '}':
			if flow {
				return false
			}
		}
	}
	return true
}

// reserved says that a text without quotes may stand for something else.
func reserved(s string) bool {
	if len(s) > 5 {
		return false
	}
	switch strings.ToLower(s) {
	case "~", "<<", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "...":
		return true
	case "true", "false":
		return s != "true" && s != "false"
	}
	return false
}
