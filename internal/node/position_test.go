package node

import (
	"context"
	"errors"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestPositions says that errors name files with the source in which they are: many builds have several locks.
func TestPositions(t *testing.T) {
	const app = `{"name": "app", "packageManager": "pnpm@11.0.0"`
	tests := []struct {
		name  string
		files map[string]string
		want  string // the position without a key
	}{
		{"npm lock", map[string]string{"package-lock.json": "{\n\"lockfileVersion\": 9}"}, "web/package-lock.json:2"},
		{"npm manifest", map[string]string{"package.json": "{\n\"dependencies\": 1}", "package-lock.json": `{"lockfileVersion": 3, "packages": {"": {}}}`}, "web/package.json:2"},
		{"npm differs", map[string]string{"package.json": `{"dependencies": {"a": "1"}}`, "package-lock.json": "{\"lockfileVersion\": 3,\n\"packages\": {\n\"\": {}}}"}, "web/package-lock.json:3"},
		{"npm package", map[string]string{"package-lock.json": "{\"lockfileVersion\": 3, \"packages\": {\"\": {},\n\"node_modules/a\": {\"resolved\": \"file:../a.tgz\"}}}"}, "web/package-lock.json:2"},
		{"npm workspace", map[string]string{"package.json": `{"workspaces": ["p"]}`, "p/package.json": "{\"name\": \"p\",\n\"dependencies\": []}",
			"package-lock.json": `{"lockfileVersion": 3, "packages": {"": {}, "p": {}, "node_modules/p": {"link": true, "resolved": "p"}}}`}, "web/p/package.json:2"},
		{"pnpm lock", map[string]string{"package.json": app + "}", "pnpm-lock.yaml": "\nlockfileVersion: '10.0'\n"}, "web/pnpm-lock.yaml:2"},
		{"pnpm version", map[string]string{"package.json": "{}", "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n"}, "web/package.json"},
		{"pnpm settings", map[string]string{"package.json": app + "}", "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n",
			"pnpm-workspace.yaml": "\npackages: {}\n"}, "web/pnpm-workspace.yaml:2"},
		{"pnpm projects as text", map[string]string{"package.json": app + "}", "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n",
			"pnpm-workspace.yaml": "\npackages: x\n"}, "web/pnpm-workspace.yaml:2"},
		{"pnpm project without a text", map[string]string{"package.json": app + "}", "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n",
			"pnpm-workspace.yaml": "\npackages: ['']\n"}, "web/pnpm-workspace.yaml:2"},
		{"pnpm manifest", map[string]string{"package.json": app + `, "dependencies": []}`, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n"}, "web/package.json:1"},
		{"pnpm differs", map[string]string{"package.json": app + `, "dependencies": {"a": "1"}}`, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n"}, "web/pnpm-lock.yaml"},
		{"yarn lock", map[string]string{"package.json": "{}", "yarn.lock": "\n__metadata:\n"}, "web/yarn.lock:2"},
		{"yarn manifest", map[string]string{"package.json": "{\n\"dependencies\": 1}", "yarn.lock": "# yarn lockfile v1\n"}, "web/package.json:2"},
		{"yarn differs", map[string]string{"package.json": `{"dependencies": {"a": "1"}}`, "yarn.lock": "# yarn lockfile v1\n"}, "web/yarn.lock"},
		{"yarn package", map[string]string{"package.json": `{"dependencies": {"a": "1"}}`, "yarn.lock": "# yarn lockfile v1\na@1:\n  version 1.0.0\n  resolved \"file:../a.tgz\"\n"}, "web/yarn.lock:2"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			w := plantest.New(t, Natives())
			w.Sources["web"] = c.files
			_, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				return Modules(ctx, ask, ModulesOptions{Dir: engine.Source("web")})
			})
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v", err)
			}
			at := p.Pos
			at.Key = ""
			if at.String() != c.want {
				t.Errorf("got %s, want %s: %v", at, c.want, err)
			}
		})
	}
}
