package python

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep508"
)

// ofWorkspace is the place of a member, wherever that lies.
const ofWorkspace = "path *"

// readPlaces reads [tool.uv.sources]. What has a source for some extra or group only is not told.
func readPlaces(c tomldoc.Cursor, dir string) map[string][]string {
	sources, ok := c.Sub("sources")
	if !ok {
		return nil
	}
	out := map[string][]string{}
	for _, name := range sources.Table().Keys() {
		v, _ := sources.Table().Get(name)
		tables := v.Items
		if v.Kind == tomldoc.Object {
			tables = []tomldoc.Value{v}
		}
		places := []string{}
		for _, t := range tables {
			if t.Kind != tomldoc.Object || t.Table.Len() == 0 {
				continue
			}
			place, ok := placeOf(t.Table, dir)
			if !ok {
				places = nil
				break
			}
			places = append(places, place)
		}
		out[pep508.Normalise(name)] = places
	}
	return out
}

// placeOf is one source of a package; ok is false where it is for an extra or group.
func placeOf(t *tomldoc.Table, dir string) (place string, ok bool) {
	text := func(key string) string {
		v, _ := t.Get(key)
		return v.Str
	}
	switch {
	case text("extra")+text("group") != "":
		return "", false
	case text("git") != "":
		return "git " + text("rev") + text("tag") + text("branch"), true
	case text("url") != "":
		return "url " + uv.LastName(text("url")), true
	case text("path") != "":
		return "path " + path.Join(dir, text("path")), true
	case text("workspace") == "true":
		return ofWorkspace, true
	}
	return "", true
}

// readResolution reads the settings that bind versions in the next lock.
func readResolution(c tomldoc.Cursor) map[string][]string {
	out := map[string][]string{}
	for _, key := range resolutionKeys {
		v, _ := c.Table().Get(key)
		list := []string{}
		for _, item := range v.Items {
			if item.Kind != tomldoc.Text {
				list = nil
				break
			}
			list = append(list, item.Str)
		}
		out[key] = list
	}
	return out
}

var resolutionKeys = []string{"constraint-dependencies", "override-dependencies"}

// checkResolution refuses a lock that was made with other constraints or overrides than those of pyproject.toml.
func checkResolution(l *uv.Lock, root project) error {
	var notes []string
	for i, key := range resolutionKeys {
		lines, ok := root.tool.resolution[key]
		if ok && lines == nil { // in a form that is not known
			continue
		}
		n, err := compareRequirements([][]uv.Requirement{l.Constraints, l.Overrides}[i], lines, "pyproject.toml", "tool.uv."+key, " in `"+key+"`")
		if err != nil {
			return err
		}
		notes = append(notes, n...)
	}
	if len(notes) == 0 {
		return nil
	}
	slices.Sort(notes)
	return diag.Inputf("lock-stale", "the lock does not fit pyproject.toml").At(l.At["manifest"]).With(notes...).Hint(lockAgain)
}

// comparePlaces names the packages that a project takes from elsewhere than the lock does.
func comparePlaces(locked *uv.Package, p project, file string) ([]string, error) {
	known, wanted := map[string][]string{}, map[string][]string{}
	for _, list := range append(slices.Collect(maps.Values(locked.RequiresGroups)), locked.Requires) {
		for _, r := range list {
			known[r.Name] = append(known[r.Name], r.Place)
		}
	}
	for _, lines := range append(slices.Collect(maps.Values(p.groups)), p.requires) {
		for _, text := range lines {
			r, err := pep508.Parse(text)
			if err != nil {
				return nil, diag.Inputf("bad-file", "%v", err).At(diag.Position{File: file, Key: "project"})
			}
			places, ok := p.tool.places[r.Name]
			switch {
			case ok && places == nil:
				delete(known, r.Name)
				continue
			case r.URL != "":
				places = []string{placeOfURL(r.URL)}
			}
			wanted[r.Name] = slices.Concat(wanted[r.Name], []string{""}, places)
		}
	}
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if has, ok := known[name]; ok && !samePlaces(distinct(wanted[name]), distinct(has)) {
			notes = append(notes, fmt.Sprintf("%s takes `%s` from %s, the lock from %s", file, name, words(distinct(wanted[name])), words(distinct(has))))
		}
	}
	return notes, nil
}

// distinct sorts places and leaves out the index, which may stand in for other platforms.
func distinct(places []string) []string {
	out := slices.Compact(slices.Sorted(slices.Values(places)))
	return slices.DeleteFunc(out, func(p string) bool { return p == "" })
}

func samePlaces(wanted, has []string) bool {
	return slices.EqualFunc(wanted, has, func(a, b string) bool {
		return a == b || a == ofWorkspace && strings.HasPrefix(b, "path ")
	})
}

func words(places []string) string {
	if len(places) == 0 {
		return "an index"
	}
	return strings.ReplaceAll(strings.TrimSpace(strings.Join(places, " and ")), ofWorkspace, "the workspace")
}

// placeOfURL is the place of a requirement that is a URL.
func placeOfURL(text string) string {
	location, _, _ := strings.Cut(text, "#")
	switch {
	case strings.HasPrefix(location, "git+"):
		_, rest, _ := strings.Cut(location, "://")
		_, rest, _ = strings.Cut(rest, "/")
		_, rev, _ := strings.Cut(rest, "@")
		return "git " + rev
	case strings.HasPrefix(location, "file:"):
		return ofWorkspace // below what, only the machine knows that locked
	}
	return "url " + uv.LastName(location)
}
