package debian

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// RootOptions says what a root is made of.
type RootOptions struct {
	Name      string   // unique in the recipe; the pins stand under `root/NAME`
	Packages  []string // names, or as in a Depends field: "python3.14 (>= 3.14.1)", "gawk | mawk"
	Exclude   []string // packages (real or virtual) that count as being there and are left out
	Essential bool     // also every package that Debian marks essential
	Suite     string   // where not the first suite that has everything is wanted
	Docs      bool     // keep manuals, documentation and translations
	Users     []User   // besides Debian's own and `builder`, the user of actions
}

// RootInfo is a planned root.
type RootInfo struct {
	Base     engine.Static     // packages and native completion: what can be known without running anything
	Root     engine.Step       // Base and what its own tools make of it: linker cache, bytecode, MIME and font caches
	Versions map[string]string // of every package in it
}

// question gives what is asked of the pins that asks for a root's packages.
func (o RootOptions) question(p platform.Platform) (pins.Question, error) {
	q := pins.Question{Ecosystem: source.Debian, Set: "root/" + o.Name, Platform: p}
	packages, exclude := slices.Clone(o.Packages), slices.Clone(o.Exclude)
	slices.Sort(packages)
	slices.Sort(exclude)
	if o.Essential {
		q.Request = append(q.Request, "essential")
	}
	for _, e := range slices.Compact(exclude) {
		q.Request = append(q.Request, "exclude "+e)
	}
	for _, e := range slices.Compact(packages) {
		q.Request = append(q.Request, "package "+e)
	}
	if o.Suite != "" {
		q.Request = append(q.Request, "suite "+o.Suite)
	}
	_, err := parseRequest(q.Request)
	if err == nil && (o.Name == "" || len(packages) == 0 && !o.Essential) {
		err = diag.Inputf("debian-request", "root %q has no name or asks for no package", o.Name)
	}
	return q, err
}

// Root plans a root: one unpacking a package (shared with every other root that has the same package), one merge, and
// the small actions that completing needs.
func Root(ctx context.Context, ask *engine.Ask, o RootOptions) (*RootInfo, error) {
	q, err := o.question(ask.Platform())
	if err != nil {
		return nil, err
	}
	as, err := ask.Artifacts(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", o.Name, err)
	}
	return plan(o, ask.Platform(), as), nil
}

func plan(o RootOptions, p platform.Platform, as []source.Artifact) *RootInfo {
	info := &RootInfo{Versions: map[string]string{}}
	trees := make([]engine.Static, len(as))
	for i, a := range as {
		trees[i] = engine.NativeStatic("unpack "+a.Name, debUnpack, unpackParams{Docs: o.Docs}, engine.Fetch(a))
		info.Versions[a.Name] = a.Version
	}
	info.Base = engine.NativeStatic("root "+o.Name, debianRoot, rootParams{Arch: Arch(p), Users: o.Users}, trees...)
	parts := []engine.Part{{Step: info.Base.Step, At: "/"}}
	for _, c := range caches(info.Versions) {
		c.command.Layers = []engine.Layer{{Step: info.Base.Step, At: "/"}}
		c.command.Platform = p
		parts = append(parts, engine.Part{Step: engine.Run(c.label+" of root "+o.Name, c.command), At: "/"})
	}
	info.Root = info.Base.Step
	if len(parts) > 1 {
		info.Root = engine.Overlay("root "+o.Name+", complete", parts...)
	}
	return info
}

// cache is something that a package's own tool makes of a root.
type cache struct {
	label   string
	command engine.Command
}

var pythonPackage = regexp.MustCompile(`^python(3\.[0-9]+)-minimal$`)

// caches gives the small actions that a root with these packages needs, by name, so that planning downloads nothing.
func caches(versions map[string]string) []cache {
	names := make([]string, 0, len(versions))
	for name := range versions {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []cache
	for _, name := range names {
		switch m := pythonPackage.FindStringSubmatch(name); {
		case m != nil:
			out = append(out, bytecode(m[1]))
		case name == "libc-bin":
			// -X: no links are made or moved; packages ship theirs.
			out = append(out, cache{"linker cache", engine.Command{Args: []string{"/usr/sbin/ldconfig", "-X"}, Outputs: []string{"/etc/ld.so.cache"}}})
		case name == "shared-mime-info":
			out = append(out, cache{"MIME cache", engine.Command{Args: []string{"/usr/bin/update-mime-database", "/usr/share/mime"}, Outputs: []string{"/usr/share/mime"}}})
		case name == "fontconfig":
			out = append(out, cache{"font cache", engine.Command{Args: []string{"/usr/bin/fc-cache", "--system-only", "--force"}, Outputs: []string{"/var/cache/fontconfig"}}})
		}
	}
	return out
}

// bytecode compiles the standard library: without it, Python starts six times slower. Unchecked, because the files in
// a root never change, and because a check by time means nothing where all times are one.
func bytecode(version string) cache {
	dir := "/usr/lib/python" + version
	return cache{"bytecode of Python " + version, engine.Command{
		Args:    []string{"/usr/bin/python" + version, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", dir},
		Env:     map[string]string{"PYTHONHASHSEED": "0"},
		Outputs: []string{dir},
	}}
}
