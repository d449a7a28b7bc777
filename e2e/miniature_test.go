//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMiniature is one sequence: each part goes on from what the one before left in the store.
func TestMiniature(t *testing.T) {
	w := newWorld(t)
	part := func(name string, f func(*testing.T)) {
		if !t.Run(name, f) && !strings.HasPrefix(name, "then ") {
			t.FailNow() // nothing after it would tell anything
		}
	}
	part("doctor", w.doctor)
	part("up from nothing", w.upFromNothing)
	part("then up again, and killed", w.upAgain)
	part("build all", w.buildAll)
	part("then nothing changed", w.nothingChanged)
	part("then a line changed", w.lineChanged)
	part("then wrong hashes", w.wrongHashes)
	part("then checks", w.checks)
	part("then looking at it", w.looking)
	part("then actions without layers", w.alone)
	part("then an image", w.images)
	part("then the image in a registry", w.pushed)
	part("then the image in an OCI runtime", w.runs)
	part("then the next version", w.nextVersion)
	part("then another store, user and place", w.another)
	part("then the small examples", w.examples)
	part("then the twin", w.twin)
}

// ecosystems are those whose registries the miniature needs, in doctor's words.
var ecosystems = []string{"debian", "go", "maven", "npm", "pypi"}

// doctor says whether the rest can work at all.
func (w *world) doctor(t *testing.T) {
	o := w.first.must(t, "doctor", miniature)
	for _, want := range []string{"sandbox\n", "yes  user namespaces", "git      /"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("`hewn doctor` does not say %q", want)
		}
	}
	found := w.first.origins(t)
	for _, eco := range ecosystems {
		if len(found[eco]) == 0 {
			t.Errorf("`hewn doctor` finds no origin for %s: configure one, or install the tool that knows it", eco)
		}
	}
	t.Logf("%s", o)
}

// origins gives the addresses that `hewn doctor` lists, by ecosystem.
func (p person) origins(t *testing.T) map[string][]string {
	t.Helper()
	_, list, _ := strings.Cut(p.must(t, "doctor", miniature).stdout, "\norigins ")
	found, eco := map[string][]string{}, ""
	for l := range strings.Lines(list) {
		words := strings.Fields(l)
		switch {
		case len(words) == 1 && strings.HasPrefix(l, "  "):
			eco = words[0]
		case len(words) > 2 && words[1] == "from" && strings.Contains(words[0], "://"):
			found[eco] = append(found[eco], words[0])
		}
	}
	return found
}

// upFromNothing is what a person with a fresh machine does.
func (w *world) upFromNothing(t *testing.T) {
	// A guard against hanging, not a measure: CI's machines are slow, and the network is the network.
	r := w.up(t, 15*time.Minute)
	peak, cpu, processes := r.watch.now()
	t.Logf("%s: ready after %.1f s (cold: %v); hewn itself: %.0f MB peak, %.1f s of processor time; %d processes",
		r.text, r.ready.Seconds(), w.cold, float64(peak)/1e6, cpu.Seconds(), processes)
	if processes < 5 {
		t.Errorf("only %d processes were seen: the test looks in the wrong place", processes)
	}
	r.use(t, "first")
	o := r.interrupt(t)
	t.Logf("until the end: %s", o)
}

// upAgain finds the data again, and takes everything down with hewn, however hewn ends.
func (w *world) upAgain(t *testing.T) {
	r := w.up(t, 5*time.Minute)
	t.Logf("%s: ready after %.1f s with everything built", r.text, r.ready.Seconds())
	r.has(t, r.client(t), "first")
	second := w.first.start(t, "up", miniature, "--state", w.state)
	if o := second.wait(time.Minute); o.code == 0 || !strings.Contains(o.stderr, "another `hewn up` uses the state directory") {
		t.Errorf("a second `up` with the same state ended with code %d:\n%s", o.code, o.stderr)
	}
	must(t, r.cmd.Process.Kill())
	r.wait(30 * time.Second)
	r.gone(t)
	if r.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("hewn was not killed but ended before: %s\n%s", r.cmd.ProcessState, r.stderr.tail(30))
	}
	// The database gets over it.
	r = w.up(t, 5*time.Minute)
	r.has(t, r.client(t), "first")
	r.interrupt(t)
}

// targets gives what `hewn targets` lists, without the checks.
func (w *world) targets(t *testing.T) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(w.first.must(t, "targets", miniature).stdout) {
		if name, doc, _ := strings.Cut(l, " "); !strings.HasPrefix(strings.TrimSpace(doc), "check of ") {
			out = append(out, name)
		}
	}
	for _, name := range []string{"client-go", "client-ts", "python-deps", "authentik-django", "webui-deps", "webui", "authentik-server", "ak", "assembled"} {
		if !slices.Contains(out, name) {
			t.Errorf("`hewn targets` lacks %s: %v", name, out)
		}
	}
	return out
}

func references(targets []string) []string {
	var out []string
	for _, name := range targets {
		out = append(out, miniature+":"+name)
	}
	return out
}

// buildAll keeps the digest of every target. `up` has built all that they need but for the images.
func (w *world) buildAll(t *testing.T) {
	targets := w.targets(t)
	got, o := w.first.build(t, references(targets)...)
	for _, b := range got {
		w.digests[b.Target] = b.Digest
	}
	if len(w.digests) != len(targets) {
		t.Errorf("%d targets, %d digests", len(targets), len(w.digests))
	}
	for _, label := range of(o.started, "action") {
		if !strings.HasPrefix(label, "image: ") && !strings.HasPrefix(label, "image-nobody: ") { // which `up` does not need
			t.Errorf("after `up`, `build` of all targets runs %q", label)
		}
	}
}

// nothingChanged is what a person waits for most often.
func (w *world) nothingChanged(t *testing.T) {
	w.first.build(t, miniature)
	best := outcome{wall: time.Hour}
	var peak int64
	for range 5 {
		got, o := w.first.build(t, miniature)
		if len(o.started) > 0 || got[0].Steps.Run != 0 {
			t.Errorf("`hewn build` with nothing changed runs %v", o.started)
		}
		if got[0].Digest != w.digests["assembled"] {
			t.Errorf("the default target has the digest %s, `assembled` %s", got[0].Digest, w.digests["assembled"])
		}
		peak = max(peak, o.peak)
		if o.wall < best.wall {
			best = o
		}
	}
	t.Logf("nothing changed: %.0f ms, the whole process, the best of 5; at most %.0f MB", best.wall.Seconds()*1e3, float64(peak)/1e6)
}

// edit appends a line to a file of the miniature and gives the way back.
func (w *world) edit(t *testing.T, file, line string) (undo func()) {
	t.Helper()
	name := filepath.Join(w.work, miniature, file)
	old, err := os.ReadFile(name)
	must(t, err)
	must(t, os.WriteFile(name, append(slices.Clone(old), line+"\n"...), 0o644))
	return func() { must(t, os.WriteFile(name, old, 0o644)) }
}

// lineChanged runs what hangs on the line and nothing else.
func (w *world) lineChanged(t *testing.T) {
	const python, golang = "authentik/core/views.py", "internal/web/web.go"
	line := fmt.Sprintf("EDITED = %d", time.Now().UnixNano()) // new to a store that was used before, too
	undo := w.edit(t, python, line)
	got, o := w.first.build(t, miniature)
	t.Logf("a Python line changed: %d steps ran; %s", got[0].Steps.Run, o)
	if ran := of(o.started, "action"); len(ran) > 0 {
		t.Errorf("a changed Python line runs the actions %q", ran)
	}
	if got[0].Digest == w.digests["assembled"] {
		t.Errorf("a changed Python line does not change `assembled`")
	}
	tail := w.first.must(t, "run", miniature, "--", "tail", "-n1", "/"+python).stdout
	if strings.TrimSpace(tail) != line {
		t.Errorf("the assembled file ends with %q", tail)
	}
	undo()

	undo = w.edit(t, golang, fmt.Sprintf("\n// Edited is for nothing.\nfunc (*Server) Edited() string { return %q }", line))
	got, o = w.first.build(t, miniature)
	ran := of(o.started, "action")
	t.Logf("a Go line changed: %d steps ran, of them the actions %q; %s", got[0].Steps.Run, ran, o)
	if got[0].Digest == w.digests["assembled"] {
		t.Errorf("a changed Go line does not change `assembled`")
	}
	for _, label := range ran {
		if !strings.HasPrefix(label, "authentik-server: ") || strings.Contains(label, "dependencies") || strings.Contains(label, "cache") {
			t.Errorf("a changed Go line runs the action %q", label)
		}
	}
	undo()

	got, o = w.first.build(t, miniature)
	if ran := of(o.started, "action"); len(ran) > 0 || got[0].Digest != w.digests["assembled"] {
		t.Errorf("everything is as it was, but `build` runs %q and gives %s", ran, got[0].Digest)
	}
}

// checks are cached like all else.
func (w *world) checks(t *testing.T) {
	verdicts := func(o outcome, f func(string) bool) {
		for l := range strings.Lines(o.stdout) {
			// There is no earlier version's image yet, and some checks leave more to look at than their report.
			if strings.HasPrefix(l, "skip   migrates of image: ") || strings.HasPrefix(l, "       see ") {
				continue
			}
			if !f(strings.TrimRight(l, "\n")) {
				t.Errorf("`hewn test` says: %s", l)
			}
		}
		if n := strings.Count(o.stdout, "\n"); n < 8 {
			t.Errorf("only %d checks", n)
		}
	}
	o := w.first.must(t, "test", miniature)
	verdicts(o, func(l string) bool { return strings.HasPrefix(l, "ok ") })
	t.Logf("all checks: %s\n%s", o, o.stdout)
	w.keepScreenshots(t, o.stdout)
	o = w.first.must(t, "test", miniature)
	verdicts(o, func(l string) bool { return strings.HasPrefix(l, "ok ") && strings.HasSuffix(l, "(cached)") })
	t.Logf("all checks again: %s", o)
}

// keepScreenshots keeps what the browser saw beside the built program, for people to look at after the run.
func (w *world) keepScreenshots(t *testing.T, said string) {
	_, after, ok := strings.Cut(said, "ok     browser of image: ")
	_, dir, _ := strings.Cut(after, "\n       see ")
	dir, _, _ = strings.Cut(dir, "\n")
	shots, err := filepath.Glob(filepath.Join(dir, "check", "*.png"))
	must(t, err)
	if !ok || len(shots) < 4 {
		t.Errorf("`hewn test` says nowhere where the screenshots are, or they are too few: %q\n%s", shots, said)
	}
	to := filepath.Join(w.repo, "bin", "e2e", "browser")
	must(t, os.RemoveAll(to))
	copyDir(t, filepath.Join(dir, "check"), to)
	t.Logf("screenshots and console of the browser: %s", to)
}

// looking is what one does with what is there.
func (w *world) looking(t *testing.T) {
	if o := w.first.must(t, "run", miniature, "--", "ak", "dump_config"); !strings.Contains(o.stdout, "postgresql") {
		t.Errorf("`ak dump_config` prints %.500s", o.stdout)
	}
	if o := w.first.must(t, "run", miniature, "--", "ak", "shell", "-c", "from authentik.core.models import Application; print(Application.__name__)"); !strings.Contains(o.stdout, "Application") {
		t.Errorf("`ak shell` prints %.500s", o.stdout)
	}
	i := w.first.start(t, "run", miniature, "--", "bash", "-c", "exit 7")
	if o := i.wait(time.Minute); o.code != 7 {
		t.Errorf("`hewn run` of a command that ends with 7 ends with %d", o.code)
	}
	if o := w.first.must(t, "log", miniature+":webui"); !strings.Contains(o.stdout, "build:sfe") {
		t.Errorf("`hewn log` of webui prints %.500s", o.stdout)
	}
	lock := filepath.Join(w.work, miniature, "sources.lock")
	before, err := os.ReadFile(lock)
	must(t, err)
	o := w.first.must(t, "update", "--missing", miniature)
	after, err := os.ReadFile(lock)
	must(t, err)
	if o.stdout != "" || !strings.Contains(o.stderr, "nothing moved") || !bytes.Equal(before, after) {
		t.Errorf("`hewn update --missing` with nothing missing prints %q and %q; the lock is the same: %v", o.stdout, o.stderr, bytes.Equal(before, after))
	}
	t.Logf("update --missing: %s", o)
	shipped, err := os.ReadFile(filepath.Join(w.repo, miniature, "sources.lock"))
	must(t, err)
	if !bytes.Equal(shipped, after) {
		t.Logf("the lock was pinned anew since the archive has moved on: `hewn update %s` and commit it", miniature)
	}
}
