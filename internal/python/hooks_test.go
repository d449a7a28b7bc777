package python

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/pins"
)

// Lines answers as an update does.
func (w *world) Lines(ctx context.Context, q pins.Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	w.mu.Lock()
	w.questions = append(w.questions, fmt.Sprintf("%s %s %q", q.Set, q.Platform, q.Request))
	w.mu.Unlock()
	return observe(ctx)
}

// Lines answers as an update does.
func (w *oracleWorld) Lines(ctx context.Context, _ pins.Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	return observe(ctx)
}

// asking is what the settings of the back end asking.py say.
func asking(c tomldoc.Cursor) (asks, copies []string) {
	tool, _ := c.Sub("tool")
	c, ok := tool.Sub("asking")
	if !ok {
		return nil, nil
	}
	return c.Texts("asks"), c.Texts("copies")
}

// asked is the request of the question about a set; empty where there was none.
func (w *world) asked(set string) string {
	for _, q := range w.questions {
		if rest, ok := strings.CutPrefix(q, set+" linux/amd64 "); ok {
			return rest
		}
	}
	return ""
}

// What a hook asks for is resolved together with what pyproject.toml says, unless that is enough already. What is pinned
// for everything in this world is version 1 of `backend`.
func TestHookRequirements(t *testing.T) {
	for _, tc := range []struct{ name, told, want string }{
		{"nothing", "", ""},
		{"new", "editables~=0.3", `["python 3.14" "constraint setuptools<90" "editables~=0.3" "hatchling"]`},
		{"in another spelling", "Editables >= 0.3 ", `["python 3.14" "constraint setuptools<90" "editables>=0.3" "hatchling"]`},
		{"what is there", "backend>=0.5", ""},
		{"a newer one than is there", "backend>=2", `["python 3.14" "constraint setuptools<90" "backend>=2" "hatchling"]`},
		{"extras of what is there", "backend[fast]", `["python 3.14" "constraint setuptools<90" "backend[fast]" "hatchling"]`},
		{"what was asked for anyway", "hatchling", ""},
		{"for another Python", "tomli; python_version < '3.11'", ""},
		{"several", "b\na\nbackend", `["python 3.14" "constraint setuptools<90" "a" "b" "hatchling"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.asks["member 0.1"] = tc.told
			if _, err := w.build(); err != nil {
				t.Fatal(err)
			}
			if got := w.asked("build/member@0.1/all"); got != tc.want {
				t.Errorf("asked %s, want %s", got, tc.want)
			}
			if got := w.asked("build/member@0.1"); got != `["python 3.14" "constraint setuptools<90" "hatchling"]` {
				t.Errorf("asked %s for the environment of the hook", got)
			}
		})
	}
	w := newWorld(t)
	w.asks["member 0.1"] = "a b c"
	if _, err := w.build(); err == nil || !strings.Contains(err.Error(), "the build backend of `member 0.1` asks for something odd: requirement \"a b c\"") {
		t.Errorf("got %v", err)
	}
}

// The question about a hook changes with what back ends look into, not with every edit of a directory.
func TestHookQuestion(t *testing.T) {
	const own = "[project]\nname = \"member\"\n[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"own\"\nbackend-path = [%q]\n"
	for _, tc := range []struct {
		name   string
		files  map[string]string
		edit   string
		change bool
	}{
		{"a module", nil, "packages/member/member/__init__.py", false},
		{"the readme", nil, "packages/member/README.md", false},
		{"settings", nil, "packages/member/pyproject.toml", true},
		{"settings of setuptools", nil, "packages/member/setup.cfg", true},
		{"its script", nil, "packages/member/setup.py", true},
		{"a build hook", nil, "packages/member/hatch_build.py", true},
		{"another member", nil, "packages/other/setup.py", false},
		{"a back end in a directory", map[string]string{"packages/member/pyproject.toml": fmt.Sprintf(own, "tools"), "packages/member/tools/own.py": "1"}, "packages/member/tools/own.py", true},
		{"beside such a directory", map[string]string{"packages/member/pyproject.toml": fmt.Sprintf(own, "tools"), "packages/member/tools/own.py": "1"}, "packages/member/own.py", false},
		{"a back end in the project", map[string]string{"packages/member/pyproject.toml": fmt.Sprintf(own, ".")}, "packages/member/own.py", true},
		{"below a back end in the project", map[string]string{"packages/member/pyproject.toml": fmt.Sprintf(own, ".")}, "packages/member/member/__init__.py", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			for p, text := range tc.files {
				w.files[p] = text
			}
			ask := func() string {
				w.questions = nil
				if _, err := w.build(); err != nil {
					t.Fatal(err)
				}
				if i := slices.IndexFunc(w.questions, func(q string) bool { return strings.HasPrefix(q, "build/member@0.1/hook") }); i < 0 {
					t.Fatalf("the hook was not asked about: %q", w.questions)
				}
				return w.asked("build/member@0.1/hook")
			}
			before := ask()
			w.files[tc.edit] += "# edited\n"
			if after := ask(); (after != before) != tc.change {
				t.Errorf("before %s, after %s", before, after)
			}
		})
	}
}
