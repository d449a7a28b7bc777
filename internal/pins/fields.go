package pins

import (
	"fmt"
	"strconv"
	"strings"
)

// JoinFields is a line of a lock file: fields separated by spaces. A field with a space, a quote, a `#`, a backslash or a control
// character is quoted as in Go.
func JoinFields(fields []string) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		if q := strconv.Quote(f); f == "" || strings.ContainsAny(f, " \"#") || q[1:len(q)-1] != f {
			f = q
		}
		out[i] = f
	}
	return strings.Join(out, " ")
}

// SplitFields reads what JoinFields wrote.
func SplitFields(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return out, nil
		}
		if s[0] != '"' {
			f, rest, _ := strings.Cut(s, " ")
			out, s = append(out, f), rest
			continue
		}
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, fmt.Errorf("a quoted field does not end")
		}
		f, err := strconv.Unquote(q)
		if err != nil {
			return nil, fmt.Errorf("malformed quoted field %s", q)
		}
		if rest := s[len(q):]; rest != "" && rest[0] != ' ' {
			return nil, fmt.Errorf("no space after the quoted field %s", q)
		}
		out, s = append(out, f), s[len(q):]
	}
}
