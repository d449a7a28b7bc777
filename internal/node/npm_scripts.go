package node

import (
	"context"
	"strings"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
)

// runScripts runs the install scripts that the recipe allows.
func (m *assembler) runScripts(ctx context.Context, modules engine.Step) (engine.Step, error) {
	var known []string
	for _, p := range m.lock.Packages {
		if p.Folder() != "" && !p.Link {
			known = append(known, p.Name, p.Name+"@"+p.Version)
		}
	}
	return RunScripts(ctx, m.ask, modules, m.installed(), known, m.lock.File, m.opts.Scripts)
}

// installed tells of the packages what install scripts want to know.
func (m *assembler) installed() []Installed {
	var c *chooser
	if len(m.opts.Scripts.Allow) > 0 {
		c = newChooser(m.lock)
	}
	chosen := map[string]bool{}
	for _, p := range m.pkgs {
		chosen[p.Path] = true
	}
	beside := map[string][]string{}
	for _, b := range m.bins {
		beside[b.pkg.Path] = append(beside[b.pkg.Path], b.at)
	}
	var out []Installed
	for _, p := range m.pkgs {
		if _, replaced := m.opts.Replace[p.Folder()]; replaced {
			out = append(out, Installed{Name: p.Name, Version: p.Version, Path: p.Path})
			continue
		}
		in := Installed{Name: p.Name, Version: p.Version, Path: p.Path, Has: p.HasInstallScript, Beside: beside[p.Path], Env: npmEntryEnv(p)}
		if c != nil {
			for _, e := range c.out[c.byPath[p.Path]] {
				if at := m.lock.Packages[e.node].Path; chosen[at] {
					in.Needs = append(in.Needs, at)
				}
			}
		}
		in.Files, in.Within = m.files(p)
		out = append(out, in)
	}
	return out
}

// files is the step with the files of a package, and where in it they are: those of a bundled one lie in the archive of
// another.
func (m *assembler) files(p npm.Package) (engine.Static, string) {
	if p.Link {
		return engine.Static{}, ""
	}
	for dir := p.Path; dir != ""; dir = strings.TrimSuffix(dir[:max(strings.LastIndex(dir, "node_modules/"), 0)], "/") {
		if i, ok := m.inputOf[dir]; ok {
			s, static := m.inputs[i].Static()
			if !static {
				return engine.Static{}, ""
			}
			return s, strings.TrimPrefix(strings.TrimPrefix(p.Path, dir), "/")
		}
	}
	return engine.Static{}, ""
}

func npmEntryEnv(p npm.Package) map[string]string {
	flag := func(b bool) string {
		if b {
			return "1"
		}
		return ""
	}
	env := map[string]string{
		"npm_package_resolved": p.Resolved, "npm_package_optional": flag(p.Optional), "npm_package_dev": flag(p.Dev),
		"npm_package_peer": flag(p.Peer), "npm_package_dev_optional": flag(p.DevOptional && !p.Dev && !p.Optional),
	}
	if !p.Integrity.IsZero() {
		env["npm_package_integrity"] = p.Integrity.String()
	}
	return env
}
