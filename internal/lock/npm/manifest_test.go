package npm

import (
	"errors"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/twin"
)

func TestParseManifest(t *testing.T) {
	m, err := ParseManifest("package.json", []byte(`{"dependencies": {"a": "^1"}, "devDependencies": {"b": "2"}, "workspaces": {"packages": ["x/*"]},
		"overrides": {"c@1": {"d": "2", "@s/e@^1": "3"}}, "version": 7, "bin": 3}`))
	if err != nil || m.Wants["a"] != "^1" || m.Wants["b"] != "2" || strings.Join(m.Workspaces, " ") != "x/*" ||
		!m.Overridden["c"] || !m.Overridden["d"] || !m.Overridden["@s/e"] || m.Overridden["a"] {
		t.Errorf("got %+v, %v", m, err)
	}
	for in, want := range map[string]string{"{\n\"a\" 1}": "package.json:2", `{"dependencies": []}`: "`dependencies`: this cannot be a JSON array",
		`{"dependencies": {"a": 1}}`: "this cannot be a JSON number",
		"{\n\"workspaces\": 3}":      "package.json:2: `workspaces`: this cannot be a JSON number", "{\n\"workspaces\": {\"packages\": \"a\"}}": "package.json:2: `workspaces`: this cannot be a JSON string"} {
		if _, err := ParseManifest("package.json", []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestOverridesEverywhere(t *testing.T) {
	m, err := ParseManifest("package.json", []byte(`{"name": "x", "version": "1.2.3", "overrides": {"a": "1", "b": "$b", "c": "2", "c@1": "1.1", "d": {"e": "3"}, "e": "4", "f": {".": "1"}}}`))
	if err != nil || len(m.Overrides) != 1 || m.Overrides["a"] != "1" || m.Called != "x" || m.Numbered != "1.2.3" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"dependencies": {"a": "^1"}, "workspaces": ["x/*"], "overrides": {"c@1": {"d": "2"}}}`))
	f.Add(twin.Read(f, "web/package.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *diag.Problem
		if _, err := ParseManifest("package.json", b); err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no Problem", err)
		}
	})
}
