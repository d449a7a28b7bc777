package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fetchWorkspace is a workspace of hewn whose artifacts all come from the loopback mirror.
func (l *locks) fetchWorkspace(ctx context.Context) (dir string, mirrors map[string]string, err error) {
	if mirrors, err = l.mirrors(ctx); err == nil {
		dir, err = l.workspace("workspace", mirrors)
	}
	return dir, mirrors, err
}

// fresh is a first `hewn fetch` into an empty store.
func (l *locks) fresh(dir, target string) side {
	return side{"hewn fetch " + target, func(int) (process, error) {
		st, err := l.dir("cold")
		return l.b.build(st, "fetch", dir+":"+target), err
	}}
}

// The rows of fetching compare a first `hewn fetch` into an empty store with the first run of the real tools with empty
// caches, all from one server on loopback. Both end with everything unpacked in the tool's own store or cache; what only
// puts it together afterwards (npm's node_modules, uv's environment) cannot be told apart there and counts for the tool.
const fetchBound = "decompression, SHA-256, the tool's hash; inodes"

func (l *locks) fetchNpm(ctx context.Context) error {
	if err := l.mirrorNpm(ctx); err != nil {
		return err
	}
	dir, m, err := l.fetchWorkspace(ctx)
	if err != nil {
		return err
	}
	npm := side{"npm ci", func(int) (process, error) {
		dir, err := l.npmProject(m["npm"])
		return l.npmCI(dir, m["npm"], filepath.Join(dir, "cache")), err
	}}
	pnpm := side{"pnpm fetch", func(int) (process, error) {
		dir, err := l.pnpmProject()
		return l.pnpm("fetch", dir, filepath.Join(dir, "store"), "--registry", m["npm"]+"/", "--config.cache-dir="+filepath.Join(dir, "cache")), err
	}}
	return l.rates(ctx, "cold fetch of all npm archives", l.fresh(dir, "webui-deps"), npm, pnpm)
}

func (l *locks) fetchGo(ctx context.Context) error {
	if err := l.fillGo(ctx); err != nil {
		return err
	}
	dir, m, err := l.fetchWorkspace(ctx)
	if err != nil {
		return err
	}
	return l.rates(ctx, "cold fetch of all Go modules", l.fresh(dir, "bench-go"), side{"go mod download", func(int) (process, error) {
		dir, err := l.goProject(ctx)
		return l.goDownload(dir, filepath.Join(dir, "cache"), m["go"]), err
	}})
}

func (l *locks) fetchRust(ctx context.Context) error {
	if err := l.fillCargo(ctx); err != nil {
		return err
	}
	dir, m, err := l.fetchWorkspace(ctx)
	if err != nil {
		return err
	}
	return l.rates(ctx, "cold fetch of all crates", l.fresh(dir, "bench-rust"), side{"cargo fetch", func(int) (process, error) {
		dir, err := l.cargoProject(ctx)
		return l.cargo(dir, filepath.Join(dir, "home"), "fetch", "--locked",
			"--config", `source.crates-io.replace-with="mirror"`, "--config", `source.mirror.registry="sparse+`+m["crates"]+`/"`), err
	}})
}

// fetchPython gives hewn a store that has the root with the interpreter, which is Debian's and not the index's. uv has no
// way to fetch an sdist without building it: those, and what they are built with, only hewn fetches; what is compared is
// bytes a second.
func (l *locks) fetchPython(ctx context.Context) error {
	if err := l.mirrorPypi(ctx); err != nil {
		return err
	}
	root, err := l.uvRoot(ctx)
	if err != nil {
		return err
	}
	sdists, err := l.sdists()
	if err != nil {
		return err
	}
	dir, m, err := l.fetchWorkspace(ctx)
	if err != nil {
		return err
	}
	steps, err := l.everything(ctx, dir, "bench-shell")
	if err != nil {
		return err
	}
	hewn := side{"hewn fetch bench-pypi", func(int) (process, error) {
		st, err := l.dir("cold")
		if err == nil {
			err = partStore(ctx, l.full(), st, steps, func(done) bool { return true })
		}
		return l.b.build(st, "fetch", dir+":bench-pypi"), err
	}}
	more := []string{"--no-install-workspace", "--no-build"}
	for _, s := range sdists {
		more = append(more, "--no-install-package", s)
	}
	uv := side{"uv sync", func(int) (process, error) {
		cold, err := os.MkdirTemp(root, "cold-")
		if err != nil {
			return process{}, err
		}
		at := "/" + filepath.Base(cold)
		return l.uvSync(root, at, at+"/cache", more...), l.uvProject(root, at, m)
	}}
	return l.rates(ctx, fmt.Sprintf("cold fetch of all wheels (hewn: and %d sdists)", len(sdists)), hewn, uv)
}

// rates adds a row that compares the bytes a second of hewn with those of the fastest other tool.
func (l *locks) rates(ctx context.Context, what string, hewn side, tools ...side) error {
	s, err := l.turns(ctx, append(tools, hewn)...)
	if err != nil {
		return err
	}
	rate := func(s *series) float64 { return float64(s.served) / median(s.walls).Seconds() / 1e6 }
	text := func(name string, s *series) string {
		return fmt.Sprintf("%s %s, %d files, %.0f MB, %.1f MB/s", name, s, s.files, float64(s.served)/1e6, rate(s))
	}
	us, best := s[len(tools)], 0
	got := []string{text("hewn", us)}
	for i, t := range tools {
		if rate(s[i]) > rate(s[best]) {
			best = i
		}
		got = append(got, text(t.name, s[i]))
	}
	const least = 0.9
	r := rate(us) / rate(s[best])
	cpu := median(us.cpus).Seconds() / median(s[best].cpus).Seconds()
	l.b.table.add(row{what, fmt.Sprintf("%.1f x the rate of the fastest tool", least), strings.Join(got, "; "),
		fmt.Sprintf("%s: %.2f x %s (processor time %.2f x)", verdict(r >= least), r, tools[best].name, cpu), fetchBound})
	return nil
}
