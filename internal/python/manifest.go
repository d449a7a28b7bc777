package python

import (
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
)

// checkManifest refuses a lock that was made for other dependencies than those of the project beside it. Names and
// versions are compared; markers and extras are not, since uv rewrites them.
func checkManifest(l *uv.Lock, p project) error {
	root := l.Root()
	if root == nil || p.name != root.Name || slices.Contains(p.dynamic, "dependencies") || slices.Contains(p.dynamic, "optional-dependencies") {
		return nil
	}
	locked, sourced := map[string]bool{}, map[string]bool{}
	for _, r := range root.Requires {
		if r.Sourced {
			sourced[r.Name] = true
		}
		locked[requirementKey(r.Name, r.Specifier)] = true
	}
	wanted := map[string]bool{}
	var notes []string
	for _, text := range p.requires {
		r, err := pep508.Parse(text)
		if err != nil {
			return diag.Inputf("bad-file", "%v", err).At(diag.Position{File: "pyproject.toml", Key: "project.dependencies"})
		}
		key := requirementKey(r.Name, r.Specifiers.String())
		if sourced[r.Name] {
			wanted[r.Name] = true // with any version: the lock does not keep it
			continue
		}
		if wanted[key] = true; !locked[key] {
			notes = append(notes, "pyproject.toml asks for `"+key+"`, which the lock does not know")
		}
	}
	for key := range locked {
		name, _, _ := strings.Cut(key, " ")
		if !wanted[key] && !wanted[name] {
			notes = append(notes, "the lock was made for `"+key+"`, which pyproject.toml does not ask for")
		}
	}
	if len(notes) == 0 {
		return nil
	}
	slices.Sort(notes)
	return diag.Inputf("lock-stale", "the lock does not fit pyproject.toml").At(root.Pos).With(slices.Compact(notes)...).Hint("lock again: `uv lock`")
}

// requirementKey is a name and its version clauses in one spelling: "name" or "name <2,>=1".
func requirementKey(name, specifiers string) string {
	var clauses []string
	for _, c := range strings.Split(specifiers, ",") {
		c = strings.ReplaceAll(c, " ", "")
		op := c[:len(c)-len(strings.TrimLeft(c, "=~!<>"))]
		if v, err := pep440.Parse(c[len(op):]); err == nil {
			c = op + v.String()
		}
		if c != "" {
			clauses = append(clauses, c)
		}
	}
	slices.Sort(clauses)
	return strings.TrimSpace(name + " " + strings.Join(clauses, ","))
}
