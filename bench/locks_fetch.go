package main

import (
	"context"
	"path/filepath"
)

// fetchRows compares a first `hewn fetch` into an empty store with the first run of the real tools with empty caches, all
// from one server on loopback. Both end with everything unpacked in the tool's own store or cache; what only puts it
// together afterwards (npm's and pnpm's node_modules) cannot be told apart there and counts for them.
func (l *locks) fetchRows(ctx context.Context) error {
	if err := l.mirrorNpm(ctx); err != nil {
		return err
	}
	if err := l.fillGo(ctx); err != nil {
		return err
	}
	if err := l.fillCargo(ctx); err != nil {
		return err
	}
	m, err := l.mirrors(ctx)
	if err != nil {
		return err
	}
	dir, err := l.workspace("workspace", m)
	if err != nil {
		return err
	}
	fresh := func(target string) side {
		return side{"hewn fetch " + target, func(int) (process, error) {
			st, err := l.dir("cold")
			return l.b.build(st, "fetch", dir+":"+target), err
		}}
	}
	const limit, bound = 1 / 0.9, "decompression, SHA-256, the tool's hash; inodes"
	npm, pnpm := l.coldNpm(m["npm"])
	s, err := l.turns(ctx, npm, pnpm, fresh("webui-deps"))
	if err != nil {
		return err
	}
	l.compare("cold fetch of all npm archives", limit, s[2], s[0], "npm ci", bound)
	l.compare("the same", limit, s[2], s[1], "pnpm install", bound)
	if s, err = l.turns(ctx, l.coldGo(ctx, m["go"]), fresh("bench-go")); err != nil {
		return err
	}
	l.compare("cold fetch of all Go modules", limit, s[1], s[0], "go mod download", bound)
	if s, err = l.turns(ctx, l.coldCargo(ctx, m["crates"]), fresh("bench-rust")); err != nil {
		return err
	}
	l.compare("cold fetch of all crates", limit, s[1], s[0], "cargo fetch", bound)
	return nil
}

func (l *locks) coldNpm(registry string) (npm, pnpm side) {
	npm = side{"npm ci, cold", func(int) (process, error) {
		dir, err := l.npmProject(registry)
		return l.npmCI(dir, registry, filepath.Join(dir, "cache")), err
	}}
	pnpm = side{"pnpm install, cold", func(int) (process, error) {
		dir, err := l.pnpmProject()
		return l.pnpmInstall(dir, filepath.Join(dir, "store"), "--registry", registry+"/", "--config.cache-dir="+filepath.Join(dir, "cache")), err
	}}
	return npm, pnpm
}

func (l *locks) coldGo(ctx context.Context, proxy string) side {
	return side{"go mod download, cold", func(int) (process, error) {
		dir, err := l.goProject(ctx)
		return l.goDownload(dir, filepath.Join(dir, "cache"), proxy), err
	}}
}

func (l *locks) coldCargo(ctx context.Context, index string) side {
	return side{"cargo fetch, cold", func(int) (process, error) {
		dir, err := l.cargoProject(ctx)
		return l.cargo(dir, filepath.Join(dir, "home"), "fetch", "--locked",
			"--config", `source.crates-io.replace-with="mirror"`, "--config", `source.mirror.registry="sparse+`+index+`/"`), err
	}}
}
