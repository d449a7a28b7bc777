package python

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
)

// checkManifests refuses a lock that was made for other dependencies than those of the projects beside it: the root, the
// members of the workspace and other directories.
func (v *venv) checkManifests(ctx context.Context, l *uv.Lock) error {
	for i := range l.Packages {
		p := &l.Packages[i]
		dir, err := inside(p.Source.Location, Selected{Package: p})
		if !p.Source.Local() || err != nil { // what needs a directory outside is refused where it is chosen
			continue
		}
		project := v.root
		if dir != "." {
			if project, err = readProject(ctx, v.ask, v.Source, dir, ""); err != nil {
				return err
			}
		}
		if err := checkManifest(l, p, project, path.Join(dir, "pyproject.toml")); err != nil {
			return err
		}
	}
	return nil
}

// checkManifest compares one project with what the lock remembers of it. Names and versions are compared; markers and
// extras are not, since uv rewrites them.
func checkManifest(l *uv.Lock, locked *uv.Package, p project, file string) error {
	var notes []string
	switch {
	case p.name == "" && !slices.Contains(l.Members, locked.Name): // without pyproject.toml, or with a name that is computed
		return nil
	case p.name == "":
		notes = append(notes, fmt.Sprintf("the lock has `%s` there, %s does not give a name", locked.Name, file))
	case p.name != locked.Name:
		notes = append(notes, fmt.Sprintf("the lock has `%s` there, %s has `%s`", locked.Name, file, p.name))
	default:
		if !slices.Contains(p.dynamic, "dependencies") && !slices.Contains(p.dynamic, "optional-dependencies") {
			n, err := compareRequirements(locked.Requires, p.requires, file, "project.dependencies", "")
			if err != nil {
				return err
			}
			notes = n
		}
		for _, g := range groupNames(locked.RequiresGroups, p.groups) {
			n, err := compareRequirements(locked.RequiresGroups[g], p.groups[g], file, "dependency-groups."+g, " in the group `"+g+"`")
			if err != nil {
				return err
			}
			notes = append(notes, n...)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	slices.Sort(notes)
	return diag.Inputf("lock-stale", "the lock does not fit %s", file).At(locked.Pos).With(slices.Compact(notes)...).Hint("lock again: `uv lock`")
}

func groupNames(locked map[string][]uv.Requirement, wanted map[string][]string) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(locked)), maps.Keys(wanted))
	slices.Sort(names)
	return slices.Compact(names)
}

// compareRequirements names what one side has and the other has not.
func compareRequirements(locked []uv.Requirement, lines []string, file, key, where string) ([]string, error) {
	known, sourced := map[string]bool{}, map[string]bool{}
	for _, r := range locked {
		if r.Sourced {
			sourced[r.Name] = true
		}
		known[requirementKey(r.Name, r.Specifier)] = true
	}
	wanted := map[string]bool{}
	var notes []string
	for _, text := range lines {
		r, err := pep508.Parse(text)
		if err != nil {
			return nil, diag.Inputf("bad-file", "%v", err).At(diag.Position{File: file, Key: key})
		}
		key := requirementKey(r.Name, r.Specifiers.String())
		if sourced[r.Name] {
			wanted[r.Name] = true // with any version: the lock does not keep it
			continue
		}
		if wanted[key] = true; !known[key] {
			notes = append(notes, fmt.Sprintf("%s asks for `%s`%s, which the lock does not know", file, key, where))
		}
	}
	for key := range known {
		name, _, _ := strings.Cut(key, " ")
		if !wanted[key] && !wanted[name] {
			notes = append(notes, fmt.Sprintf("the lock was made for `%s`%s, which %s does not ask for", key, where, file))
		}
	}
	return notes, nil
}

// readGroups reads [dependency-groups], and what was called so before it: `dev-dependencies` of [tool.uv]. A group has
// what it includes.
func readGroups(c tomldoc.Cursor) map[string][]string {
	out := map[string][]string{}
	if groups, ok := c.Sub("dependency-groups"); ok {
		for _, name := range groups.Table().Keys() {
			key := pep508.Normalise(name)
			out[key] = append(out[key], groupLines(groups, name, map[string]bool{})...)
		}
	}
	if tool, ok := c.Sub("tool"); ok {
		if settings, ok := tool.Sub("uv"); ok && settings.Has("dev-dependencies") {
			out["dev"] = append(out["dev"], settings.Texts("dev-dependencies")...)
		}
	}
	return out
}

// groupLines is what a group and the groups that it includes ask for; done are groups that need not be read again.
func groupLines(groups tomldoc.Cursor, name string, done map[string]bool) []string {
	v, ok := groups.Table().Get(name)
	if !ok {
		groups.Fail(name, "the group `%s` is not defined", name)
	}
	done[name] = true
	var out []string
	for _, item := range v.Items {
		if item.Kind != tomldoc.Object {
			out = append(out, item.Str)
			continue
		}
		include, _ := item.Table.Get("include-group")
		for _, other := range groups.Table().Keys() { // in whatever spelling
			if pep508.Normalise(other) == pep508.Normalise(include.Str) {
				include.Str = other
			}
		}
		if !done[include.Str] {
			out = append(out, groupLines(groups, include.Str, done)...)
		}
	}
	return out
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
