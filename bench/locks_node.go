package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// The part of the twin that npm and pnpm read.
var webFiles = []string{"package.json", ".npmrc", "packages", "web"}

// npmRegistry is where npm of this machine looks.
func (l *locks) npmRegistry(ctx context.Context) (string, error) {
	m, err := process{args: []string{l.tools.npm, "config", "get", "registry"}, env: os.Environ()}.run(ctx)
	return strings.TrimSuffix(strings.TrimSpace(m.out), "/"), err
}

// npmProject is a project as npm wants it, with archives from registry.
func (l *locks) npmProject(registry string) (string, error) {
	dir, err := l.project("npm", strings.NewReplacer("https://npm.example/", registry+"/"), webFiles...)
	return filepath.Join(dir, "web"), err
}

func (l *locks) npmCI(dir, registry, cache string) process {
	return process{args: []string{l.tools.npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-engine-strict", "--registry", registry + "/", "--cache", cache},
		env: os.Environ(), dir: dir}
}

func (l *locks) pnpmProject() (string, error) {
	dir, err := l.project("pnpm", nil, webFiles...)
	if err != nil {
		return "", err
	}
	web := filepath.Join(dir, "web")
	return web, os.Remove(filepath.Join(web, "package-lock.json"))
}

func (l *locks) pnpmInstall(dir, store string, more ...string) process {
	return l.pnpm("install", dir, store, append([]string{"--frozen-lockfile"}, more...)...)
}

func (l *locks) pnpm(command, dir, store string, more ...string) process {
	args := append([]string{l.tools.pnpm, command, "--ignore-scripts", "--config.engine-strict=false", "--store-dir", store}, more...)
	return process{args: args, env: environ(map[string]string{"CI": "1"}), dir: dir}
}

// fillNpm has npm and pnpm download everything into their caches, once.
func (l *locks) fillNpm(ctx context.Context) error {
	return l.once("npm", func() error {
		npm, pnpm := filepath.Join(l.cache, "npm"), filepath.Join(l.cache, "pnpm")
		registry, err := l.npmRegistry(ctx)
		if err != nil {
			return err
		}
		if err := l.filled("npm", func() error {
			dir, err := l.npmProject(registry)
			if err == nil {
				_, err = l.npmCI(dir, registry, npm).run(ctx)
			}
			return err
		}); err != nil {
			return err
		}
		return l.filled("pnpm", func() error {
			dir, err := l.pnpmProject()
			if err == nil {
				_, err = l.pnpmInstall(dir, pnpm).run(ctx)
			}
			return err
		})
	})
}

// filled does something unless it was done for this cache directory before.
func (l *locks) filled(name string, f func() error) error {
	mark := filepath.Join(l.cache, name+".filled")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o644)
}

func (l *locks) nodeRows(ctx context.Context) error {
	if err := l.fillNpm(ctx); err != nil {
		return err
	}
	built, seen, err := l.warm(ctx, "webui-deps", "node_modules")
	if err != nil {
		return err
	}
	registry, err := l.npmRegistry(ctx)
	if err != nil {
		return err
	}
	npm := side{"npm ci", func(int) (process, error) {
		dir, err := l.npmProject(registry)
		return l.npmCI(dir, registry, filepath.Join(l.cache, "npm")), err
	}}
	pnpm := side{"pnpm install", func(int) (process, error) {
		dir, err := l.pnpmProject()
		return l.pnpmInstall(dir, filepath.Join(l.cache, "pnpm"), "--offline"), err
	}}
	s, err := l.turns(ctx, npm, pnpm, built, seen)
	if err != nil {
		return err
	}
	l.compare("node_modules from package-lock.json", 0.1, s[2], s[0], "npm ci --prefer-offline", "reading the lock")
	l.compare("the same, and a command has run beside it", 0.1, s[3], s[0], "npm ci --prefer-offline", "inodes of the view")
	l.compare("node_modules from package-lock.json", 0.5, s[2], s[1], "pnpm install --offline", "reading the lock")
	l.compare("the same, and a command has run beside it", 0.5, s[3], s[1], "pnpm install --offline", "inodes of the view")
	return nil
}
