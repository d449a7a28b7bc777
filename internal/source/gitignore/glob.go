package gitignore

import "strings"

type globKind uint8

const (
	literal globKind = iota // text is the whole name
	suffix                  // `*` and then text
	prefix                  // text and then `*`
	general                 // tokens
	anyDirs                 // `**`
)

// glob is a pattern for one name. Bytes are compared, as git does: `?` is one byte of a character.
type glob struct {
	kind   globKind
	text   string
	tokens []token
}

// token matches one byte of set, or any run of bytes.
type token struct {
	star bool
	set  *[4]uint64
	one  byte // if set is nil
}

func (t token) matches(c byte) bool {
	if t.set == nil {
		return t.one == c
	}
	return t.set[c>>6]&(1<<(c&63)) != 0
}

// compile reads a pattern without slashes; a malformed one (an open bracket, a backslash at the end) matches nothing.
func compile(s string) (g glob, ok bool) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '*':
			if n := len(g.tokens); n == 0 || !g.tokens[n-1].star {
				g.tokens = append(g.tokens, token{star: true})
			}
		case '?':
			g.tokens = append(g.tokens, token{set: &[4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}})
		case '[':
			end := bracketEnd(s, i)
			if end < 0 {
				return g, false
			}
			set, ok := parseSet(s[i+1 : end])
			if !ok {
				return g, false
			}
			g.tokens = append(g.tokens, token{set: set})
			i = end
		case '\\':
			if i++; i == len(s) {
				return g, false
			}
			g.tokens = append(g.tokens, token{one: s[i]})
		default:
			g.tokens = append(g.tokens, token{one: c})
		}
	}
	g.simplify()
	return g, true
}

// simplify finds the shapes that nearly all rules have and that need no loop.
func (g *glob) simplify() {
	g.kind = general
	var text strings.Builder
	for i, t := range g.tokens {
		switch {
		case t.set != nil:
			return
		case !t.star:
			text.WriteByte(t.one)
		case i == 0 && g.kind == general:
			g.kind = suffix
		case i == len(g.tokens)-1 && g.kind == general:
			g.kind = prefix
		default:
			g.kind = general
			return
		}
	}
	if g.kind == general {
		g.kind = literal
	}
	g.text = text.String()
}

func (g *glob) matches(name string) bool {
	switch g.kind {
	case literal:
		return name == g.text
	case suffix:
		return strings.HasSuffix(name, g.text)
	case prefix:
		return strings.HasPrefix(name, g.text)
	case anyDirs:
		return true
	}
	t, retry, retryFrom := 0, -1, 0
	for i := 0; ; {
		switch {
		case t < len(g.tokens) && g.tokens[t].star:
			t++
			retry, retryFrom = t, i
			continue
		case i == len(name) && t == len(g.tokens):
			return true
		case i < len(name) && t < len(g.tokens) && g.tokens[t].matches(name[i]):
			i, t = i+1, t+1
			continue
		}
		if retry < 0 || retryFrom >= len(name) {
			return false
		}
		retryFrom++
		i, t = retryFrom, retry
	}
}

// bracketEnd gives the index of the bracket that closes the one at i, or -1.
func bracketEnd(s string, i int) int {
	j := i + 1
	if j < len(s) && (s[j] == '!' || s[j] == '^') {
		j++
	}
	for first := true; j < len(s); j, first = j+1, false {
		switch {
		case s[j] == ']' && !first:
			return j
		case s[j] == '\\':
			j++
		case strings.HasPrefix(s[j:], "[:"):
			if end := strings.Index(s[j+2:], ":]"); end >= 0 {
				j += 2 + end + 1
			}
		}
	}
	return -1
}

var classes = map[string]func(byte) bool{
	"alnum":  func(c byte) bool { return isAlpha(c) || isDigit(c) },
	"alpha":  isAlpha,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 127 },
	"digit":  isDigit,
	"graph":  func(c byte) bool { return c > ' ' && c < 127 },
	"lower":  func(c byte) bool { return c >= 'a' && c <= 'z' },
	"print":  func(c byte) bool { return c >= ' ' && c < 127 },
	"punct":  func(c byte) bool { return c > ' ' && c < 127 && !isAlpha(c) && !isDigit(c) },
	"space":  func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' },
	"upper":  func(c byte) bool { return c >= 'A' && c <= 'Z' },
	"xdigit": func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' },
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseSet reads what stands between brackets.
func parseSet(s string) (*[4]uint64, bool) {
	set := &[4]uint64{}
	add := func(c byte) { set[c>>6] |= 1 << (c & 63) }
	negated := s != "" && (s[0] == '!' || s[0] == '^')
	if negated {
		s = s[1:]
	}
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "[:") {
			if end := strings.Index(s[i+2:], ":]"); end >= 0 {
				is, ok := classes[s[i+2:i+2+end]]
				if !ok {
					return nil, false
				}
				for c := range 256 {
					if is(byte(c)) {
						add(byte(c))
					}
				}
				i += 2 + end + 1
				continue
			}
		}
		lo, n, ok := setByte(s[i:])
		if !ok {
			return nil, false
		}
		i += n - 1
		hi := lo
		if i+2 < len(s) && s[i+1] == '-' {
			h, n, ok := setByte(s[i+2:])
			if !ok {
				return nil, false
			}
			hi = h
			i += 1 + n
		}
		for c := int(lo); c <= int(hi); c++ {
			add(byte(c))
		}
	}
	if negated {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	return set, true
}

func setByte(s string) (c byte, n int, ok bool) {
	if s[0] != '\\' {
		return s[0], 1, true
	}
	if len(s) < 2 {
		return 0, 0, false
	}
	return s[1], 2, true
}
