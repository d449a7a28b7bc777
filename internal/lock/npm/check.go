package npm

import (
	"fmt"
	"path"
	"strings"
)

const lockAnew = "lock anew with `npm install --package-lock-only` in the project, and commit the result"

// check looks for what single entries do not show: links that lead nowhere, and places that are one to npm.
func (r *reader) check(lock *Lock) error {
	links, places := map[string]bool{}, make(map[string]string, len(lock.Packages))
	for _, p := range lock.Packages {
		links[p.Path] = p.Link
	}
	problem := func(code string, p Package, format string, args ...any) error {
		out := r.problem(code, 0, "packages."+p.Path, format, args...)
		out.Pos.Line = p.Line
		return out.Hint(lockAnew)
	}
	for _, p := range lock.Packages {
		if p.Link {
			if link, ok := links[p.Target]; !ok || link {
				return problem("lock-link", p, "it is a link to `%s`, which is no package of the lock", p.Target)
			}
		}
		for dir := p.Path; p.Folder() != ""; {
			i := strings.LastIndex(dir, "/node_modules/")
			if i < 0 {
				break
			}
			if dir = dir[:i]; links[dir] {
				return problem("lock-link", p, "it lies in `%s`, which is a link", dir)
			}
		}
		small := strings.ToLower(p.Path)
		if other, ok := places[small]; ok && p.Folder() != "" {
			return problem("lock-path", p, "`%s` and `%s` differ by capital letters only; npm takes them for one place", other, p.Path)
		}
		places[small] = p.Path
	}
	return nil
}

// checkPath refuses keys that would leave the project, but for those that only name a linked package outside ("../x").
func checkPath(p string) error {
	switch {
	case p == "":
		return nil
	case path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, "\x00\\"):
		return fmt.Errorf("%q is not a clean relative path", p)
	case (p == ".." || strings.HasPrefix(p, "../")) && strings.Contains(p+"/", "/node_modules/"):
		return fmt.Errorf("%q lies outside the project", p)
	}
	return nil
}

// ValidName accepts `name` and `@scope/name`.
func ValidName(n string) bool {
	if scope, rest, ok := strings.Cut(n, "/"); ok {
		return len(scope) > 1 && scope[0] == '@' && validPart(scope[1:]) && validPart(rest)
	}
	return validPart(n) && n[0] != '@'
}

func validPart(s string) bool {
	return s != "" && s[0] != '.' && s != "node_modules" && !strings.ContainsAny(s, "/\\ %?#\x00\n\r\t")
}

// validVersion accepts what npm takes for a version, and nothing at all: entries of the project need none.
func validVersion(v string) bool {
	if v == "" {
		return true
	}
	number := strings.TrimLeft(v, "v= ")
	return number != "" && number[0] >= '0' && number[0] <= '9' && !strings.ContainsFunc(number, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '/' || r == '\\'
	})
}
