//go:build linux

package sandbox_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
)

// A large root that differs little from one before is mounted as what changed over that one. An action must not be able
// to tell, and its outputs must hold nothing of the other root.
func TestRootOverTheOneBefore(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeOverlay, sandbox.ModeTmpfs, sandbox.ModeCopy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			_, f, temp := setUp(t, mode)
			root := map[string]string{}
			for i := range 400 {
				root[fmt.Sprintf("/d%d/f%d", i%3, i)] = fmt.Sprint("content ", i)
			}
			f.OK(t, executortest.Run{Root: root, Args: []string{"true"}})
			root["/d1/f1"], root["/d1/new"] = "changed", "added"
			out, log := f.OK(t, executortest.Run{
				Root: root, Outputs: []string{"/d1"},
				Args: []string{"script", "read:/d1/f1", "read:/d1/new", "read:/d1/f4", "rm:/d1/f4", "write:/d1/mine:written"},
			})
			for _, want := range []string{"changed", "added", "content 4"} {
				if !strings.Contains(log, want) {
					t.Errorf("the action did not see %q:\n%s", want, log)
				}
			}
			text := f.Text(t, out.Output)
			for _, want := range []string{"d1/f1 = changed\n", "d1/new = added\n", "d1/f7 = content 7\n", "d1/mine = written"} {
				if !strings.Contains(text, want) {
					t.Errorf("the output has no %q", want)
				}
			}
			if strings.Contains(text, "d1/f4 =") || strings.Count(text, "\n") < 134 {
				t.Errorf("the output is wrong:\n%s", text)
			}
			views, _ := filepath.Glob(filepath.Join(filepath.Dir(temp), "views", "*", "d1", "*"))
			if len(views) > 200 {
				t.Errorf("there are two views of the whole root: %d files", len(views))
			}
		})
	}
	asUser(t)
}
