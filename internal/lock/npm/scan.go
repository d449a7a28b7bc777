package npm

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// What is below walks JSON text that is known to be well-formed. Values are parts of that text: nothing is copied that
// need not be, so that the time for an entry does not depend on how many there are.

// space is the offset of the first character at or after i that is no white space.
func space(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skip is the end of the value that begins at i.
func skip(s string, i int) int {
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		depth := 0
		for {
			switch s[i] {
			case '"':
				i = skipString(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(s) && !strings.ContainsRune(",]} \n\r\t", rune(s[i])) {
		i++
	}
	return i
}

func skipString(s string, i int) int {
	for i++; ; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// object calls f for each member of the object that begins s, with the offsets of its key and of its value. It is false
// if s is no object.
func object(s string, f func(key string, keyOff, off, end int) error) (bool, error) {
	i := space(s, 0)
	if i == len(s) || s[i] != '{' {
		return false, nil
	}
	for i = space(s, i+1); s[i] != '}'; i = space(s, i) {
		if s[i] == ',' {
			i = space(s, i+1)
		}
		keyOff := i
		i = skipString(s, i)
		key := unquote(s[keyOff:i])
		off := space(s, space(s, i)+1) // after the colon
		i = skip(s, off)
		if err := f(key, keyOff, off, i); err != nil {
			return true, err
		}
	}
	return true, nil
}

// list gives the members of the array s; it is false if s is none.
func list(s string) ([]string, bool) {
	if s[0] != '[' {
		return nil, false
	}
	var out []string
	for i := space(s, 1); s[i] != ']'; i = space(s, i) {
		if s[i] == ',' {
			i = space(s, i+1)
		}
		end := skip(s, i)
		out = append(out, s[i:end])
		i = end
	}
	return out, true
}

// unquote is the text of a string.
func unquote(s string) string {
	if in := s[1 : len(s)-1]; strings.IndexByte(in, '\\') < 0 && utf8.ValidString(in) {
		return in
	}
	var text string
	_ = json.Unmarshal([]byte(s), &text) // well-formed
	return text
}

// kind is what JSON calls a value.
func kind(s string) string {
	switch s[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}
