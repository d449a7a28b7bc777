// Package gitignore tells which paths of a directory git would not track, from the content of .gitignore files.
//
// It is pure: the caller reads the files, top directory first, and asks before it descends. A directory that is ignored
// must not be entered, which is why, as in git, nothing below it can be taken back in.
package gitignore

import (
	"bytes"
	"strings"
)

// Matcher holds the rules of all .gitignore files from the top down to some directory. It is immutable; nil has no
// rules.
type Matcher struct {
	above *Matcher
	base  string // the directory of the file, with a slash at the end; "" for the top
	rules []rule
}

// With gives the matcher for what is below dir (slash-separated, relative to the top; "" for the top itself), which has
// a .gitignore with the given content.
func (m *Matcher) With(dir string, content []byte) *Matcher {
	rules := parse(content)
	if len(rules) == 0 {
		return m
	}
	if dir != "" {
		dir += "/"
	}
	return &Matcher{above: m, base: dir, rules: rules}
}

// Ignored says that path (slash-separated, relative to the top) is ignored: the deepest file that has a rule for it
// decides, and in a file the last such rule.
func (m *Matcher) Ignored(path string, isDir bool) bool {
	for ; m != nil; m = m.above {
		rel, ok := strings.CutPrefix(path, m.base)
		if !ok {
			continue
		}
		name := rel[strings.LastIndexByte(rel, '/')+1:]
		for i := len(m.rules) - 1; i >= 0; i-- {
			if r := &m.rules[i]; r.matches(rel, name, isDir) {
				return !r.negated
			}
		}
	}
	return false
}

// rule is one line of a file.
type rule struct {
	negated  bool
	dirOnly  bool
	anywhere bool // no slash in it: compared with the name alone
	names    []glob
}

func parse(content []byte) (rules []rule) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	for line := range strings.SplitSeq(string(content), "\n") {
		if r, ok := parseLine(strings.TrimSuffix(line, "\r")); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func parseLine(s string) (r rule, ok bool) {
	if strings.HasPrefix(s, "#") {
		return r, false
	}
	s = trimSpaces(s)
	if rest, ok := strings.CutPrefix(s, "!"); ok {
		r.negated, s = true, rest
	}
	if rest, ok := strings.CutSuffix(s, "/"); ok {
		r.dirOnly, s = true, rest
	}
	if s == "" {
		return r, false
	}
	r.anywhere = !strings.Contains(s, "/")
	s = strings.TrimPrefix(s, "/")
	if r.anywhere {
		g, ok := compile(s)
		r.names = []glob{g}
		return r, ok
	}
	for _, name := range splitSlashes(s) {
		if name == "**" {
			r.names = append(r.names, glob{kind: anyDirs})
			continue
		}
		g, ok := compile(name)
		if !ok {
			return r, false
		}
		r.names = append(r.names, g)
	}
	return r, true
}

// splitSlashes splits at slashes that do not stand in brackets.
func splitSlashes(s string) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			if end := bracketEnd(s, i); end > 0 {
				i = end
			}
		case '/':
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// trimSpaces takes spaces off the end, but not one behind a backslash.
func trimSpaces(s string) string {
	end := len(s)
	for end > 0 && s[end-1] == ' ' {
		end--
	}
	if end < len(s) {
		backslashes := 0
		for i := end - 1; i >= 0 && s[i] == '\\'; i-- {
			backslashes++
		}
		if backslashes%2 == 1 {
			end++
		}
	}
	return s[:end]
}

func (r *rule) matches(rel, name string, isDir bool) bool {
	if r.dirOnly && !isDir {
		return false
	}
	if r.anywhere {
		return r.names[0].matches(name)
	}
	return matchPath(r.names, rel)
}

// matchPath matches the names of a path one by one. Only the last `**` met is ever gone back to, since any dirs that an
// earlier one could take as well the later one can take too; so the work is at most names times globs.
func matchPath(globs []glob, path string) bool {
	retry := -1    // index behind the last `**`
	retryFrom := 0 // where in path it tries next
	g, at := 0, 0  // at is len(path)+1 at the end
	for {
		if g == len(globs) && at > len(path) {
			return true
		}
		if g < len(globs) && globs[g].kind == anyDirs {
			if g == len(globs)-1 {
				return at <= len(path) // everything below, not the directory itself
			}
			g++
			retry, retryFrom = g, at
			continue
		}
		if g < len(globs) && at <= len(path) {
			end := at + strings.IndexByte(path[at:]+"/", '/')
			if globs[g].matches(path[at:end]) {
				g, at = g+1, end+1
				continue
			}
		}
		if retry < 0 || retryFrom > len(path) {
			return false
		}
		retryFrom += strings.IndexByte(path[retryFrom:]+"/", '/') + 1
		if retryFrom > len(path) {
			return false
		}
		g, at = retry, retryFrom
	}
}
