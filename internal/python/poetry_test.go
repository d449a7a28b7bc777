package python

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/poetry"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/plantest"
)

// TestAsPoetry compares environments with those that `poetry sync` made of the same locks. poetry_record_test.go says how
// they are recorded.
func TestAsPoetry(t *testing.T) {
	for _, c := range readCases(t, "poetry") {
		t.Run(c.name, func(t *testing.T) {
			if c.locks[poetryLock] == "" || c.want[uvLock] == "" {
				t.Fatal("not recorded: see poetry_record_test.go")
			}
			got, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: poetryLock}).install()
			if refused := c.options["refused"]; refused != "" {
				if err == nil || !strings.Contains(problemText(err), refused) {
					t.Fatalf("got  %v\nwant a refusal with %q", problemText(err), refused)
				}
				return
			}
			if err != nil {
				t.Fatal(problemText(err))
			}
			if d := difference(sameJSON(t, c.want[uvLock]), sameJSON(t, got.String())); d != "" {
				t.Errorf("- as poetry, + as hewn\n%s", d)
			}
		})
	}
}

// sameJSON gives every direct_url.json one spelling: Poetry's has spaces.
func sameJSON(t *testing.T, text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		name, body, ok := strings.Cut(l, "/direct_url.json ")
		if !ok {
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = name + "/direct_url.json " + string(b)
	}
	return strings.Join(lines, "\n")
}

// TestContentHash has the hashes of every recorded lock agree with what is beside it, unless Poetry refused it.
func TestContentHash(t *testing.T) {
	for _, c := range readCases(t, "poetry") {
		l, err := poetry.Read(poetryLock, []byte(c.locks[poetryLock]))
		if c.options["refused"] != "" {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := checkContentHash(l, []byte(c.files["pyproject.toml"])); err != nil {
			t.Errorf("%s: %v", c.name, problemText(err))
		}
	}
}

// TestVersionOfLocks: the lock says which Python where pyproject.toml does not.
func TestVersionOfLocks(t *testing.T) {
	lock := func(versions string) string {
		return "[metadata]\nlock-version = '2.1'\ncontent-hash = 'x'\npython-versions = '" + versions + "'\n"
	}
	for _, tc := range []struct{ pyproject, lock, want string }{
		{"[tool.poetry]\n", lock("^3.11"), "3.11"},
		{"[tool.poetry]\n", lock(">=3.12,<3.14 || 3.11.*"), "3.12"},
		{"[project]\nrequires-python = '>=3.10'\n", lock(">=3.12"), "3.10"},
		{"[tool.poetry]\n", lock("*"), "does not say which Python 3 the project needs"},
		{"[tool.poetry]\n", "", "does not say which Python 3 the project needs"},
	} {
		w := plantest.New(t, Natives())
		files := map[string]string{"pyproject.toml": tc.pyproject}
		if tc.lock != "" {
			files[poetryLock] = tc.lock
		}
		w.Sources["app"] = files
		var got string
		_, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
			v, err := Version(ctx, ask, engine.Source("app"))
			got = v
			return engine.Source("app").Step, err
		})
		if err != nil {
			got = problemText(err)
		}
		if !strings.Contains(got, tc.want) {
			t.Errorf("%q: got %s, want %s", tc.lock, got, tc.want)
		}
	}
}
