package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools are the programs that hewn is compared with. What the machine does not have is installed into the cache
// directory, in the version that the twin's locks were made with.
type tools struct {
	npm, pnpm, go_, cargo, uv string
}

func (t *tools) find(ctx context.Context, cache, versions string) error {
	b, err := os.ReadFile(versions)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			want[name] = version
		}
	}
	dir := filepath.Join(cache, "tools")
	for name, at := range map[string]*string{"npm": &t.npm, "go": &t.go_, "cargo": &t.cargo} {
		if *at, err = exec.LookPath(name); err != nil {
			return fmt.Errorf("%s: %w", name, errMissing)
		}
	}
	t.pnpm = filepath.Join(dir, "pnpm/node_modules/.bin/pnpm")
	if _, err := os.Stat(t.pnpm); err != nil {
		if err := all(ctx, []process{{args: []string{t.npm, "install", "--no-audit", "--no-fund", "--prefix", filepath.Join(dir, "pnpm"), "pnpm@" + want["pnpm"]}}}); err != nil {
			return err
		}
	}
	t.uv = filepath.Join(dir, "uv/bin/uv")
	if _, err := os.Stat(t.uv); err != nil {
		return all(ctx, []process{{args: []string{"python3", "-m", "pip", "install", "-q", "--no-deps", "--target", filepath.Join(dir, "uv"), "uv==" + want["uv"]}}})
	}
	return nil
}

// environ is the caller's environment with some variables set, or taken out where the value is empty.
func environ(set map[string]string) []string {
	var out []string
	for _, kv := range os.Environ() {
		k, _, _ := strings.Cut(kv, "=")
		if _, ok := set[k]; !ok {
			out = append(out, kv)
		}
	}
	for k, v := range set {
		if v != "" {
			out = append(out, k+"="+v)
		}
	}
	return out
}
