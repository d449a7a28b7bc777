package rust

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

// pinnedRegistry stands for the default registry, in the form that cargo's own line for it has.
var pinnedRegistry = cargo.Source{Kind: cargo.Registry, URL: "https://registry.example/rust-lang/registry-index"}

// resolved is the crates of a workspace whose lock is missing or out of date, as `hewn update` has pinned them. stale is
// the lock that is out of date, if there is one: what is still good in it stays.
func (w *workspace) resolved(ctx context.Context, rustc string, stale *cargo.Lock) (*cargo.Lock, error) {
	lines, err := w.demands()
	if err != nil {
		return nil, err
	}
	v := numbers(rustc)
	lines = append(lines, fmt.Sprintf("rust %d.%d", v[0], v[1]))
	if stale != nil {
		for _, p := range stale.Packages {
			if p.Source.Default() {
				lines = append(lines, "have "+p.Name+" "+p.Version)
			}
		}
	}
	slices.Sort(lines)
	name := strings.ReplaceAll(w.label, " ", "@")
	if w.dir != "." {
		name = path.Join(name, w.dir)
	}
	artifacts, err := w.ask.Artifacts(ctx, pins.Question{Ecosystem: source.Crates, Set: "crates/" + name, Request: slices.Compact(lines)})
	if err != nil {
		return nil, err
	}
	lock := &cargo.Lock{}
	for _, a := range artifacts {
		lock.Packages = append(lock.Packages, cargo.Package{Name: a.Name, Version: a.Version, Source: pinnedRegistry, Checksum: a.Integrity, Replacement: -1})
	}
	return lock, nil
}

// demands is the request for the crates that the packages of the workspace need, with all of their features.
func (w *workspace) demands() (lines []string, err error) {
	local := map[string]bool{}
	for _, p := range w.packages {
		local[p.name()] = true
	}
	for _, p := range w.packages {
		extra := p.dependencyFeatures()
		for _, n := range w.needs(p) {
			if n.path != "" || n.dev && !p.own {
				continue
			}
			if n.git != "" || n.registry {
				return nil, diag.Inputf("lock-missing", "`%s` is neither in a %s nor in the default registry, so that nothing can pin it", n.name, lockName).At(n.pos).
					Hint("lock with cargo, and build from a source that has the lock")
			}
			req := strings.ReplaceAll(n.req, " ", "")
			if req == "" {
				req = "*"
			}
			line := "need " + n.name + " " + req
			features := slices.Concat(n.features, extra[n.key])
			slices.Sort(features)
			if features = slices.Compact(features); len(features) > 0 {
				line += " features=" + strings.Join(features, ",")
			}
			if !n.defaults {
				line += " no-default"
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// dependencyFeatures is what the features of a package turn on in its dependencies.
func (m *manifest) dependencyFeatures() map[string][]string {
	out := map[string][]string{}
	for _, list := range sub(m.top, "features") {
		for _, f := range texts(list) {
			if dep, feature, ok := strings.Cut(f, "/"); ok {
				dep = strings.TrimSuffix(dep, "?")
				out[dep] = append(out[dep], feature)
			}
		}
	}
	return out
}

// relocked is the source with the lock that cargo makes of the crates that are there, in a step of its own.
func (w *workspace) relocked(o InsideOptions, src engine.Step, crates engine.Step) engine.Step {
	file := path.Join(o.At, w.dir, lockName)
	run := engine.Run("cargo lock of "+o.Label, engine.Command{
		Args: []string{"sh", "-c", "cargo metadata --offline --format-version 1 > /dev/null"}, Env: environment(), Dir: path.Join(o.At, w.dir),
		Layers:  []engine.Layer{{Step: o.Root, At: "/"}, {Step: crates, At: DefaultAt}, {Step: src, At: o.At}},
		Outputs: []string{file}, Platform: w.ask.Platform(),
	})
	return engine.Overlay("source of "+o.Label+", locked", engine.Part{Step: src, At: "/"}, engine.Part{Step: engine.Sub(run, o.At), At: "/"})
}
