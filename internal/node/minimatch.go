package node

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A rule is one line of an ignore file as npm reads it: a glob with braces, without regard to case, in which a leading
// dot is nothing special and a pattern without a slash is for names in any directory.
type rule struct {
	negate bool
	sets   [][]segment // alternatives, by path element
}

// segment is one element of a pattern.
type segment struct {
	any  bool // `**`
	text string
	glob *regexp.Regexp // nil: text as it is
}

// maxStars bounds how often a pattern may have `**`: each multiplies the work.
const maxStars = 6

// maxAlternatives bounds what braces expand to.
const maxAlternatives = 1000

func parseRules(text string) ([]rule, error) {
	var out []rule
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func parseRule(line string) (rule, error) {
	var r rule
	for strings.HasPrefix(line, "!") && !strings.HasPrefix(line, "!(") {
		r.negate, line = !r.negate, line[1:]
	}
	alternatives, err := expandBraces(strings.ToLower(line), nil)
	if err != nil {
		return r, err
	}
	for _, a := range alternatives {
		var set []segment
		stars := 0
		for _, e := range splitPath(a) {
			s, err := parseSegment(e)
			if err != nil {
				return r, err
			}
			if s.any {
				if stars++; stars > maxStars {
					return r, fmt.Errorf("the pattern %q has more than %d `**`", a, maxStars)
				}
			}
			set = append(set, s)
		}
		r.sets = append(r.sets, set)
	}
	return r, nil
}

// splitPath cuts at slashes; several in a row count as one.
func splitPath(p string) []string {
	e := strings.Split(p, "/")
	first := true
	return slices.DeleteFunc(e, func(s string) bool {
		was := first
		first = false
		return s == "" && !was && strings.Contains(p, "//")
	})
}

// expandBraces gives what a pattern with `{a,b}` stands for.
func expandBraces(p string, out []string) ([]string, error) {
	open := -1
	depth := 0
	var commas []int
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '{':
			if depth == 0 {
				open, commas = i, nil
			}
			depth++
		case ',':
			if depth == 1 {
				commas = append(commas, i)
			}
		case '}':
			if depth == 0 {
				continue
			}
			if depth--; depth > 0 || len(commas) == 0 {
				continue
			}
			from := open + 1
			for _, to := range append(commas, i) {
				var err error
				if out, err = expandBraces(p[:open]+p[from:to]+p[i+1:], out); err != nil {
					return nil, err
				}
				from = to + 1
			}
			return out, nil
		}
	}
	if len(out) >= maxAlternatives {
		return nil, fmt.Errorf("a pattern stands for more than %d", maxAlternatives)
	}
	return append(out, p), nil
}

func parseSegment(s string) (segment, error) {
	if s == "**" {
		return segment{any: true}, nil
	}
	if !strings.ContainsAny(s, `*?[\(`) {
		return segment{text: s}, nil
	}
	var b strings.Builder
	b.WriteString("^(?s:")
	var closers []string
	for i := 0; i < len(s); i++ {
		c := s[i]
		extended := i+1 < len(s) && s[i+1] == '('
		switch {
		case c == '!' && extended:
			return segment{}, fmt.Errorf("`!(…)` in the pattern %q is not known here", s)
		case strings.IndexByte("?*+@", c) >= 0 && extended:
			b.WriteString("(?:")
			closers = append(closers, strings.TrimPrefix(")"+string(c), ")@"))
			i++
		case c == ')' && len(closers) > 0:
			last := closers[len(closers)-1]
			closers = closers[:len(closers)-1]
			b.WriteString(")" + strings.TrimPrefix(last, ")"))
		case c == '|' && len(closers) > 0:
			b.WriteByte('|')
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString(".")
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		case c == '[' && strings.IndexByte(s[i+1:], ']') > 0:
			end := i + 1 + strings.IndexByte(s[i+1:], ']')
			class := strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(s[i+1 : end])
			if rest, ok := strings.CutPrefix(class, "!"); ok {
				class = "^" + rest
			}
			b.WriteString("[" + class + "]")
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	b.WriteString(")$")
	glob, err := regexp.Compile(b.String())
	if err != nil {
		return segment{}, fmt.Errorf("the pattern %q cannot be read", s)
	}
	return segment{text: s, glob: glob}, nil
}

func (s segment) matches(name string) bool {
	if s.glob == nil {
		return s.text == name
	}
	return name != "" && name != "." && name != ".." && s.glob.MatchString(name)
}

// match says whether a path, in lower case, is one that the rule is about. partial: or might lie above such a one.
func (r rule) match(p string, partial bool) bool {
	if p == "/" && partial {
		return true
	}
	all := splitPath(p)
	for _, set := range r.sets {
		file := all
		if len(set) == 1 { // for a name in any directory
			i := len(all) - 1
			for i > 0 && all[i] == "" {
				i--
			}
			file = all[i : i+1]
		}
		if matchAll(file, set, partial) {
			return true
		}
	}
	return false
}

func matchAll(file []string, set []segment, partial bool) bool {
	for len(file) > 0 && len(set) > 0 {
		if set[0].any {
			if len(set) == 1 {
				return !slices.Contains(file, ".") && !slices.Contains(file, "..")
			}
			for len(file) > 0 {
				if matchAll(file, set[1:], partial) {
					return true
				}
				file = file[1:]
			}
			return partial
		}
		if !set[0].matches(file[0]) {
			return false
		}
		file, set = file[1:], set[1:]
	}
	switch {
	case len(file) == 0 && len(set) == 0:
		return true
	case len(file) == 0:
		return partial
	}
	return len(file) == 1 && file[0] == ""
}

// relative says that the rule names something without saying where.
func (r rule) relative() bool {
	return slices.ContainsFunc(r.sets, func(set []segment) bool {
		last := set[len(set)-1]
		if last.any || last.text != "" || last.glob != nil {
			return len(set) <= 1
		}
		return len(set) <= 2
	})
}
