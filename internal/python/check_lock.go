package python

import (
	"maps"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/wheel"
)

// lockCheck looks at all of a uv.lock, also at what no environment of this platform needs: uv refuses the whole file.
type lockCheck struct {
	byName  map[string]int    // how many packages
	markers map[string]string // what is wrong with a marker, by text; empty: nothing
}

// checkLock refuses what uv refuses and what the reader cannot see, knowing neither versions nor markers.
func checkLock(l *uv.Lock) error {
	c := lockCheck{byName: map[string]int{}, markers: map[string]string{}}
	for i := range l.Packages {
		c.byName[l.Packages[i].Name]++
	}
	if l.RequiresPython == "" {
		return diag.Inputf("bad-file", "`requires-python` is missing").At(l.At["requires-python"]).Hint(lockAgain)
	}
	if _, err := pep440.ParseSpecifiers(l.RequiresPython); err != nil {
		return diag.Inputf("bad-file", "%v", err).At(l.At["requires-python"])
	}
	for _, list := range []struct {
		key     string
		markers []string
	}{{"resolution-markers", l.ResolutionMarkers}, {"supported-markers", l.SupportedMarkers}} {
		for _, m := range list.markers {
			if why := c.marker(m); why != "" {
				return diag.Inputf("bad-file", "%s", why).At(l.At[list.key])
			}
		}
	}
	for i := range l.Packages {
		if err := c.pkg(&l.Packages[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *lockCheck) pkg(p *uv.Package) error {
	if p.Version != "" {
		version, err := pep440.Parse(p.Version)
		if err != nil {
			return diag.Inputf("bad-file", "`%s`: %v", p.Name, err).At(p.Pos)
		}
		for i := range p.Wheels {
			if err := checkWheel(p, version, &p.Wheels[i]); err != nil {
				return err
			}
		}
	}
	for _, m := range p.ResolutionMarkers {
		if why := c.marker(m); why != "" {
			return diag.Inputf("bad-file", "resolution marker of `%s`: %s", p.Name, why).At(p.Pos)
		}
	}
	if err := c.dependencies(p.Dependencies); err != nil {
		return err
	}
	for _, lists := range []map[string][]uv.Dependency{p.Optional, p.Groups} {
		for _, k := range slices.Sorted(maps.Keys(lists)) {
			if err := c.dependencies(lists[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkWheel compares a wheel's name with the package. A local part of the version may differ.
func checkWheel(p *uv.Package, version pep440.Version, f *uv.File) error {
	name, err := wheel.ParseFileName(f.Name)
	if err != nil {
		return diag.Inputf("bad-file", "`%s` is not the name of a wheel", f.Name).At(f.Pos).Because(err)
	}
	public, _, _ := strings.Cut(name.Version, "+")
	has, err := pep440.Parse(public)
	if err != nil {
		return diag.Inputf("bad-file", "`%s` is not the name of a wheel", f.Name).At(f.Pos).Because(err)
	}
	if public, _, _ := strings.Cut(p.Version, "+"); public != p.Version {
		if version, err = pep440.Parse(public); err != nil {
			return err
		}
	}
	if pep440.Compare(has, version) != 0 {
		return diag.Inputf("bad-file", "`%s` is no wheel of `%s` %s", f.Name, p.Name, p.Version).At(f.Pos)
	}
	return nil
}

func (c *lockCheck) dependencies(list []uv.Dependency) error {
	for i := range list {
		d := &list[i]
		switch n := c.byName[d.Name]; {
		case n == 0:
			return diag.Inputf("bad-file", "the lock needs `%s` but has no such package", strings.TrimSpace(d.Name+" "+d.Version)).At(d.Pos)
		case n > 1 && d.Source == uv.Source{}:
			return diag.Inputf("bad-file", "the lock has %d packages that `%s` could mean", n, d.Name).At(d.Pos)
		}
		if why := c.marker(d.Marker); why != "" {
			return diag.Inputf("bad-file", "marker of `%s`: %s", d.Name, why).At(d.Pos)
		}
	}
	return nil
}

// marker says what is wrong with a marker. A lock has few of them, many times.
func (c *lockCheck) marker(text string) string {
	if text == "" {
		return ""
	}
	why, ok := c.markers[text]
	if !ok {
		if _, err := pep508.ParseMarker(text); err != nil {
			why = err.Error()
		}
		c.markers[text] = why
	}
	return why
}
