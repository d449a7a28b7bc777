//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// slow is what an action may have taken the first time to be run once more without HEWN_E2E_ALL: compiling lxml and
// the Go dependencies is half the time of the whole sequence.
const slow = 12 * time.Second

// alone runs actions of the miniature again, as the store remembers them: from the merged root, without the layers that
// it was made of. The outputs must be the same. What an action was is read back from the text of its key, so the keys
// are checked on the way.
func (w *world) alone(t *testing.T) {
	st, err := disk.Open(w.store)
	must(t, err)
	defer st.Close()
	dir, err := os.MkdirTemp(filepath.Join(st.Dir()), "alone-")
	must(t, err)
	defer os.RemoveAll(dir)
	box, err := sandbox.New(sandbox.Config{Store: st, Views: st, TempDir: dir, Roots: []string{filepath.Join(st.Dir(), "views")}})
	must(t, err)
	defer box.Close()

	var skipped []string
	ran, begin := 0, time.Now()
	seen := map[string]bool{}
	for l := range strings.Lines(w.first.must(t, "targets", miniature).stdout) {
		name, _, _ := strings.Cut(l, " ")
		for _, s := range engine.LoadLast(st, filepath.Join(w.work, miniature), name) {
			if s.Kind != event.KindAction || s.Key.IsZero() || seen[s.Key.String()] {
				continue
			}
			seen[s.Key.String()] = true
			if took := time.Duration(s.Seconds * float64(time.Second)); took > slow && os.Getenv("HEWN_E2E_ALL") == "" {
				skipped = append(skipped, fmt.Sprintf("%s (%.0f s)", s.Label, s.Seconds))
				continue
			}
			w.runAlone(t, st, box, s)
			ran++
		}
	}
	t.Logf("%d actions gave the same from their merged roots alone, in %.1f s", ran, time.Since(begin).Seconds())
	if len(skipped) > 0 {
		t.Logf("not run again, since they are slow (HEWN_E2E_ALL=1 runs them): %s", strings.Join(skipped, ", "))
	}
	if ran < 20 && w.cold { // a store that was used before has met most of them under other names
		t.Errorf("only %d actions were found", ran)
	}
}

func (w *world) runAlone(t *testing.T, st *disk.Store, box *sandbox.Sandbox, s engine.LastStep) {
	t.Helper()
	r, err := st.Open(t.Context(), s.Dump)
	if err != nil {
		t.Errorf("%s: the text of its key is not in the store: %v", s.Label, err)
		return
	}
	text, err := io.ReadAll(io.LimitReader(r, 16<<20))
	r.Close()
	must(t, err)
	a, err := parseAction(string(text))
	if err != nil {
		t.Errorf("%s: %v", s.Label, err)
		return
	}
	if a.Key() != store.KeyOf(s.Key) {
		t.Errorf("%s: the text of its key does not hold everything that the key does:\n%s", s.Label, text)
		return
	}
	out, err := box.Execute(t.Context(), executor.Request{Action: a, Label: s.Label})
	switch {
	case err != nil:
		t.Errorf("%s: %v", s.Label, err)
	case out.ExitCode != 0 || out.Killed != "" || len(out.Missing) > 0:
		t.Errorf("%s: ended with code %d %s, lacks %q", s.Label, out.ExitCode, out.Killed, out.Missing)
	case out.Output != s.Output:
		t.Errorf("%s: gives %s from its merged root alone, %s from its layers", s.Label, out.Output, s.Output)
	}
}

// parseRoot reads one line of a further root: its tree first, then what else is said of it.
func parseRoot(a *action.Action, text string) error {
	name, rest, _ := strings.Cut(text, " ")
	what, value, more := strings.Cut(rest, " ")
	if !more {
		d, err := digest.Parse(rest)
		a.Roots = append(a.Roots, action.Root{Name: name, Tree: tree.Of(d)})
		return err
	}
	if len(a.Roots) == 0 || a.Roots[len(a.Roots)-1].Name != name {
		return fmt.Errorf("no such root")
	}
	r := &a.Roots[len(a.Roots)-1]
	var err error
	switch what {
	case "read-only":
		r.ReadOnly, err = strconv.ParseBool(value)
	case "tmpfs":
		var p string
		p, err = strconv.Unquote(value)
		r.Tmpfs = append(r.Tmpfs, p)
	default:
		err = fmt.Errorf("unknown word")
	}
	return err
}

// parseAction reads what action.Action.Dump writes.
func parseAction(text string) (action.Action, error) {
	var a action.Action
	for l := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		var err error
		unquoted := func() (s string) { s, err = strconv.Unquote(rest); return s }
		switch word {
		case "action":
			if rest != "contract="+action.Contract {
				err = fmt.Errorf("unknown contract")
			}
		case "platform":
			a.Platform, err = platform.Parse(rest)
		case "root":
			var d digest.Digest
			d, err = digest.Parse(rest)
			a.Root = tree.Of(d)
		case "dir":
			a.Dir = rest
		case "asroot":
			a.AsRoot, err = strconv.ParseBool(rest)
		case "arg":
			a.Args = append(a.Args, unquoted())
		case "env":
			a.Env = append(a.Env, unquoted())
		case "output":
			a.Outputs = append(a.Outputs, unquoted())
		case "further-roots":
			if rest != "contract="+action.RootsContract {
				err = fmt.Errorf("unknown contract")
			}
		case "further-root":
			err = parseRoot(&a, rest)
		default:
			err = fmt.Errorf("unknown word")
		}
		if err != nil {
			return a, fmt.Errorf("line %q of the text of a key: %w", l, err)
		}
	}
	return a, nil
}
