package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// goProject is the twin's module without its program, with the generated client in its module's place.
func (l *locks) goProject(ctx context.Context) (string, error) {
	dir, err := l.project("go", nil, "go.mod", "go.sum", "gen-go-api")
	if err != nil {
		return "", err
	}
	_, err = process{args: []string{l.tools.go_, "mod", "edit", "-replace", "goauthentik.io/api/v3=./gen-go-api"}, env: os.Environ(), dir: dir}.run(ctx)
	return dir, err
}

// goDownload is `go mod download` into cache, from proxy; an empty proxy is that of the machine.
func (l *locks) goDownload(dir, cache, proxy string) process {
	env := map[string]string{"GOMODCACHE": cache, "GOFLAGS": "-mod=mod -modcacherw", "GOTOOLCHAIN": "local"}
	if proxy != "" {
		env["GOPROXY"], env["GOSUMDB"] = proxy, "off"
	}
	return process{args: []string{l.tools.go_, "mod", "download"}, env: environ(env), dir: dir}
}

func (l *locks) fillGo(ctx context.Context) error {
	return l.filled("go", func() error {
		dir, err := l.goProject(ctx)
		if err == nil {
			_, err = l.goDownload(dir, filepath.Join(l.cache, "gomod"), "").run(ctx)
		}
		return err
	})
}

func (l *locks) goRows(ctx context.Context) error {
	if err := l.fillGo(ctx); err != nil {
		return err
	}
	built, seen, err := l.warm(ctx, "bench-go", "Go modules")
	if err != nil {
		return err
	}
	theirs := side{"go mod download", func(int) (process, error) {
		dir, err := l.goProject(ctx)
		if err != nil {
			return process{}, err
		}
		cache, err := l.dir("gomodcache")
		return l.goDownload(dir, cache, "file://"+filepath.Join(l.cache, "gomod/cache/download")), err
	}}
	s, err := l.turns(ctx, theirs, built, seen)
	if err != nil {
		return err
	}
	l.compare("Go module cache", 1, s[1], s[0], "go mod download", "start of the program, reading go.sum")
	l.compare("the same, and a command has run beside it", 1, s[2], s[0], "go mod download", "inodes of the view")
	return nil
}

var rustFiles = []string{"Cargo.toml", "Cargo.lock", "build.rs", ".cargo", "src", "packages", "website"}

// cargoSource is the line by which a Cargo.lock names the default registry, as cargo of this machine writes it.
func (l *locks) cargoSource(ctx context.Context) (string, error) {
	file := filepath.Join(l.cache, "cargo-source")
	if b, err := os.ReadFile(file); err == nil {
		return string(b), nil
	}
	dir, err := l.dir("cargo-source")
	if err != nil {
		return "", err
	}
	manifest := "[package]\nname = \"one\"\nversion = \"0.1.0\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\ncfg-if = \"1\"\n"
	for name, text := range map[string]string{"Cargo.toml": manifest, "lib.rs": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := l.cargo(dir, filepath.Join(l.cache, "cargo"), "generate-lockfile").run(ctx); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, "Cargo.lock"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^source = "(registry\+[^"]*)"`).FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("no registry in %s/Cargo.lock", dir)
	}
	return string(m[1]), os.WriteFile(file, m[1], 0o644)
}

func (l *locks) cargo(dir, home string, args ...string) process {
	return process{args: append([]string{l.tools.cargo}, args...), env: environ(map[string]string{"CARGO_HOME": home}), dir: dir}
}

// cargoProject is the twin's Cargo workspace with the lock as cargo wants it.
func (l *locks) cargoProject(ctx context.Context) (string, error) {
	source, err := l.cargoSource(ctx)
	if err != nil {
		return "", err
	}
	return l.project("cargo", strings.NewReplacer("registry+https://crates.example/index", source), rustFiles...)
}

func (l *locks) fillCargo(ctx context.Context) error {
	return l.filled("cargo", func() error {
		dir, err := l.cargoProject(ctx)
		if err == nil {
			_, err = l.cargo(dir, filepath.Join(l.cache, "cargo"), "fetch", "--locked").run(ctx)
		}
		return err
	})
}

func (l *locks) rustRows(ctx context.Context) error {
	if err := l.fillCargo(ctx); err != nil {
		return err
	}
	built, seen, err := l.warm(ctx, "bench-rust", "cargo vendor", "crates")
	if err != nil {
		return err
	}
	theirs := side{"cargo vendor", func(int) (process, error) {
		dir, err := l.cargoProject(ctx)
		return l.cargo(dir, filepath.Join(l.cache, "cargo"), "vendor", "--offline", "--locked", "--versioned-dirs", filepath.Join(dir, "vendor")), err
	}}
	s, err := l.turns(ctx, theirs, built, seen)
	if err != nil {
		return err
	}
	l.compare("Cargo vendor tree", 0.5, s[1], s[0], "cargo vendor --offline", "start of the program, reading Cargo.lock")
	l.compare("the same, and a command has run beside it", 0.5, s[2], s[0], "cargo vendor --offline", "inodes of the view")
	return nil
}
