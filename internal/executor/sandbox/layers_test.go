//go:build linux

package sandbox_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/executor"
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
			oneViewOnly(t, temp)
		})
	}
	asUser(t)
}

// The next version of a package leaves nothing of the one before in a root that is mounted over the one before.
func TestRootWithLessThanTheOneBefore(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeOverlay, sandbox.ModeTmpfs, sandbox.ModeCopy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			_, f, temp := setUp(t, mode)
			root := map[string]string{"/lib/p-1/METADATA": "1", "/lib/p-1/sub/x": "1", "/lib/p/code": "one", "/lib/p/old": "1"}
			for i := range 400 {
				root[fmt.Sprintf("/d%d/f%d", i%3, i)] = fmt.Sprint("content ", i)
			}
			f.OK(t, executortest.Run{Root: root, Args: []string{"true"}})
			for _, gone := range []string{"/lib/p-1/METADATA", "/lib/p-1/sub/x", "/lib/p/old"} {
				delete(root, gone)
			}
			root["/lib/p-2/METADATA"], root["/lib/p/code"] = "2", "two"
			out, log := f.OK(t, executortest.Run{
				Root: root, Outputs: []string{"/lib"},
				Args: []string{"script", "absent:/lib/p-1", "absent:/lib/p/old", "list:/lib", "list:/lib/p", "read:/lib/p/code",
					"mkdir:/lib/p-1", "list:/lib/p-1", "write:/lib/p-1/mine:written"},
			})
			if !strings.Contains(log, "two") || strings.Contains(log, "sub") || strings.Contains(log, "old") {
				t.Errorf("the action saw:\n%s", log)
			}
			want := "lib/p-1/mine = written\nlib/p-2/METADATA = 2\nlib/p/code = two\n"
			if text := f.Text(t, out.Output); !equalFiles(text, want) {
				t.Errorf("the output is\n%s\nwant\n%s", text, want)
			}
			oneViewOnly(t, temp)

			// Another layer has what this tree has no longer: it must show.
			other, _ := f.OK(t, executortest.Run{Args: []string{"script", "mkdir:/lib/p-1", "write:/lib/p-1/other:here"}, Outputs: []string{"/lib"}})
			root["/lib/p/code"] = "three"
			for _, above := range []bool{false, true} {
				run := executortest.Run{Root: root, Layers: []executor.Layer{{Tree: other.Output, At: "/"}},
					Args: []string{"script", "read:/lib/p-1/other", "read:/lib/p/code", "absent:/lib/p/old", "list:/lib/p-1"}}
				r := f.Request(t, run)
				if above {
					r.Layers[0], r.Layers[1] = r.Layers[1], r.Layers[0]
				}
				done, err := f.Executor.Execute(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if log := f.Log(t, done); done.ExitCode != 0 || !strings.Contains(log, "three") || !strings.Contains(log, "here") || strings.Contains(log, "METADATA") {
					t.Errorf("beside another layer (above: %v), code %d:\n%s", above, done.ExitCode, log)
				}
			}
		})
	}
	asUser(t)
}

// equalFiles compares lines with files of a tree as text, in any order.
func equalFiles(text, want string) bool {
	var files []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, " = ") {
			files = append(files, line)
		}
	}
	slices.Sort(files)
	return strings.Join(files, "") == want
}

// oneViewOnly checks that the store has no second view of a root of 400 files.
func oneViewOnly(t *testing.T, temp string) {
	t.Helper()
	views, _ := filepath.Glob(filepath.Join(filepath.Dir(temp), "views", "*", "d1", "*"))
	if len(views) > 200 {
		t.Errorf("there are two views of the whole root: %d files", len(views))
	}
}
