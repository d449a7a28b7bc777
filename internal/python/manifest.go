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
	if err := checkResolution(l, v.root); err != nil {
		return err
	}
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
			if slices.Contains(l.Members, p.Name) { // what the root says of sources holds for members
				project.tool.places = overlay(v.root.tool.places, project.tool.places)
			}
		}
		if slices.Contains(l.Members, p.Name) || dir == "." {
			at := diag.Position{File: path.Join(dir, "pyproject.toml"), Key: "project.requires-python"}
			if err := checkPython("the project", project.requiresPython, at, v.Python); err != nil {
				return err
			}
		}
		if err := checkManifest(l, p, project, v.env); err != nil {
			return err
		}
	}
	return nil
}

// checkManifest compares one project with what the lock remembers of it. uv rewrites markers: they are compared by what
// they give in env, and not in groups, where uv adds to them what Python a group is for.
func checkManifest(l *uv.Lock, locked *uv.Package, p project, env pep508.Environment) error {
	var notes []string
	file := path.Join(locked.Source.Location, "pyproject.toml")
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
			if notes = n; len(notes) == 0 {
				if notes, err = compareHere(locked.Requires, p, env, file); err != nil {
					return err
				}
			}
		}
		if locked.Source.Kind == uv.Virtual && p.tool.isPackage && locked.Source.Location != "." && slices.Contains(l.Members, locked.Name) {
			notes = append(notes, fmt.Sprintf("%s makes `%s` a package, which the lock does not install", file, p.name))
		}
		for _, g := range groupNames(locked.RequiresGroups, p.groups) {
			n, err := compareRequirements(locked.RequiresGroups[g], p.groups[g], file, "dependency-groups."+g, " in the group `"+g+"`")
			if err != nil {
				return err
			}
			notes = append(notes, n...)
		}
		if len(notes) == 0 && !slices.Contains(p.dynamic, "dependencies") && !slices.Contains(p.dynamic, "optional-dependencies") {
			n, err := comparePlaces(locked, p, file)
			if err != nil {
				return err
			}
			notes = n
		}
	}
	if len(notes) == 0 {
		return nil
	}
	slices.Sort(notes)
	return diag.Inputf("lock-stale", "the lock does not fit %s", file).At(locked.Pos).With(slices.Compact(notes)...).Hint(lockAgain)
}

const lockAgain = "lock again: `uv lock`"

func overlay(a, b map[string][]string) map[string][]string {
	out := maps.Clone(a)
	if out == nil {
		return b
	}
	maps.Copy(out, b)
	return out
}

func groupNames(locked map[string][]uv.Requirement, wanted map[string][]string) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(locked)), maps.Keys(wanted))
	slices.Sort(names)
	return slices.Compact(names)
}

// compareHere names what holds for the platform on one side only, without extras and with each.
func compareHere(locked []uv.Requirement, p project, env pep508.Environment, file string) ([]string, error) {
	for _, x := range append([]string{""}, slices.Sorted(maps.Keys(p.extras))...) {
		here, lines, where := env.With(), p.dependencies, " for this platform"
		if x != "" {
			here, lines, where = env.With(x), slices.Concat(p.dependencies, p.extras[x]), " for this platform with the extra `"+x+"`"
		}
		var asked []string
		for _, text := range lines {
			r, err := pep508.Parse(text)
			if err != nil {
				return nil, diag.Inputf("bad-file", "%v", err).At(diag.Position{File: file, Key: "project"})
			}
			if r.Marker.Holds(here) {
				asked = append(asked, text)
			}
		}
		var known []uv.Requirement
		for _, r := range locked {
			m, err := pep508.ParseMarker(r.Marker)
			if err != nil {
				return nil, diag.Inputf("bad-file", "marker of `%s`: %v", r.Name, err).At(r.Pos)
			}
			if m.Holds(here) {
				known = append(known, r)
			}
		}
		notes, err := compareRequirements(known, asked, file, "project", where)
		if err != nil || len(notes) > 0 {
			return notes, err
		}
	}
	return nil, nil
}

// compareRequirements names what one side has and the other has not.
func compareRequirements(locked []uv.Requirement, lines []string, file, key, where string) ([]string, error) {
	known, sourced := map[string]bool{}, map[string]bool{}
	for _, r := range locked {
		if r.Place != "" {
			sourced[r.Name] = true
		}
	}
	for _, r := range locked {
		if sourced[r.Name] {
			r.Specifier = "" // the lock does not keep it
		}
		known[requirementKey(r.Name, r.Extras, r.Specifier)] = true
	}
	wanted := map[string]bool{}
	var notes []string
	for _, text := range lines {
		r, err := pep508.Parse(text)
		if err != nil {
			return nil, diag.Inputf("bad-file", "%v", err).At(diag.Position{File: file, Key: key})
		}
		specifiers := r.Specifiers.String()
		if sourced[r.Name] {
			specifiers = ""
		}
		key := requirementKey(r.Name, r.Extras, specifiers)
		if wanted[key] = true; !known[key] {
			notes = append(notes, fmt.Sprintf("%s asks for `%s`%s, which the lock does not know", file, key, where))
		}
	}
	for key := range known {
		if !wanted[key] {
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

// requirementKey is a name with its extras and version clauses in one spelling: "name" or "name[a,b] <2,>=1".
func requirementKey(name string, extras []string, specifiers string) string {
	if len(extras) > 0 {
		name += "[" + strings.Join(slices.Compact(slices.Sorted(slices.Values(normalised(extras)))), ",") + "]"
	}
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
