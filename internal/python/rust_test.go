package python

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/python/wheeltest"
)

// insideWorld has a package `old` whose sdist has files; given is what Rust was asked for.
func insideWorld(t *testing.T, files map[string]string, given *[]string) *world {
	w := newWorld(t)
	entries := map[string]wheeltest.Entry{}
	for p, text := range files {
		entries["old-1/"+p] = wheeltest.Entry{Text: text}
	}
	w.packed["old-1.zip"] = wheeltest.Pack("old-1", entries)
	w.lock()
	w.options.Only = []string{"old"}
	w.options.Rust = func(_ context.Context, _ *engine.Ask, in RustInside) (RustCrates, error) {
		*given = append(*given, fmt.Sprintf("%s %q %s", in.Dir, in.Manifests, in.Label))
		return RustCrates{Layers: []engine.Layer{{Step: engine.Source("crates").Step, At: "/usr/local/cargo"}}, Env: map[string]string{"CARGO_HOME": "/usr/local/cargo"}}, nil
	}
	return w
}

func pyproject(requires, more string) string {
	return "[build-system]\nrequires = [" + requires + "]\nbuild-backend = \"maturin\"\n" + more
}

func TestRustInside(t *testing.T) {
	for name, c := range map[string]struct {
		files     map[string]string
		requires  []string // of the recipe
		asked     string   // what Rust was asked for
		variables string
	}{
		"maturin":          {map[string]string{"pyproject.toml": pyproject(`"maturin>=1,<2"`, "")}, nil, ` [] old 1`, "CARGO_HOME MATURIN_PEP517_ARGS=--locked"},
		"manifest-path":    {map[string]string{"pyproject.toml": pyproject(`"maturin>=1,<2"`, "[tool.maturin]\nmanifest-path = \"src/rust/Cargo.toml\"\n")}, nil, ` ["src/rust/Cargo.toml"] old 1`, "CARGO_HOME MATURIN_PEP517_ARGS=--locked"},
		"locked by itself": {map[string]string{"pyproject.toml": pyproject(`"maturin"`, "[tool.maturin]\nlocked = true\n")}, nil, ` [] old 1`, "CARGO_HOME"},
		"setuptools-rust": {map[string]string{"pyproject.toml": pyproject(`"setuptools", "setuptools_rust>=1"`, "[[tool.setuptools-rust.ext-modules]]\ntarget = \"a\"\npath = \"rust/Cargo.toml\"\n[[tool.setuptools-rust.bins]]\ntarget = \"b\"\n")}, nil,
			` ["rust/Cargo.toml" "Cargo.toml"] old 1`, "CARGO_HOME"},
		"by the recipe":  {map[string]string{"setup.py": ""}, []string{"setuptools-rust"}, ` [] old 1`, "CARGO_HOME"},
		"other platform": {map[string]string{"pyproject.toml": pyproject(`"maturin; sys_platform == 'win32'"`, "")}, nil, "", ""},
		"none":           {map[string]string{"pyproject.toml": pyproject(`"setuptools"`, "")}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			w := insideWorld(t, c.files, &asked)
			w.options.BuildRequires = map[string][]string{"old": c.requires}
			if _, err := w.build(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(asked, "\n"); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
			i := slices.IndexFunc(w.ran, func(r executor.Request) bool { return strings.HasSuffix(r.Label, "build old 1") })
			var variables []string
			for _, kv := range w.ran[i].Action.Env {
				if strings.HasPrefix(kv, "MATURIN") {
					variables = append(variables, kv)
				} else if strings.HasPrefix(kv, "CARGO_HOME=") {
					variables = append(variables, "CARGO_HOME")
				}
			}
			if got := strings.Join(variables, " "); got != c.variables {
				t.Errorf("variables are %q, want %q", got, c.variables)
			}
		})
	}
}

func TestRustRefused(t *testing.T) {
	var asked []string
	w := insideWorld(t, map[string]string{"pyproject.toml": pyproject(`"maturin"`, "")}, &asked)
	w.options.Rust = func(context.Context, *engine.Ask, RustInside) (RustCrates, error) {
		return RustCrates{}, errors.New("no cargo")
	}
	if _, err := w.build(); err == nil || !strings.Contains(err.Error(), "no cargo") {
		t.Error(err)
	}
	w.options.Rust = nil
	if _, err := w.build(); err == nil || !strings.Contains(err.Error(), "`old 1` is built with maturin") {
		t.Error(err)
	}
}
