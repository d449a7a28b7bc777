package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// full is the store that has everything; mirrors of a run are of no matter to it.
func (l *locks) full() string { return filepath.Join(l.cache, "store") }

// everything builds a target in the full store and gives all of its steps, which are the same in each copy of the twin
// with the same uv.lock: no other lock is changed here.
func (l *locks) everything(ctx context.Context, dir, target string) ([]done, error) {
	lock, err := os.ReadFile(filepath.Join(dir, "uv.lock"))
	if err != nil {
		return nil, err
	}
	key, ref := target+"\n"+string(lock), dir+":"+target
	if steps, ok := l.steps[key]; ok {
		return steps, nil
	}
	// It has to look at each step: else whole graphs are found by their description.
	cmd := exec.CommandContext(ctx, l.b.hewn, "--progress=json", "build", ref)
	cmd.Env = append(os.Environ(), "HEWN_STORE="+l.full(), "HEWN_PARANOID=1")
	var events, out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &events
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(events.String()), "\n")
		return nil, fmt.Errorf("%s: %w\n%s", ref, err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
	steps, err := stepsOf(events.Bytes())
	if err == nil {
		l.steps[key] = steps
	}
	return steps, err
}

// warm is hewn where each package's tree is in the store, but neither what they are put together to nor any view of that.
// merged is in the labels of the steps that put them together. Before each run the store goes back to that. built ends
// with the tree; seen is the target "…-seen", which ends when a command has run with the tree at its place.
func (l *locks) warm(ctx context.Context, target string, merged ...string) (built, seen side, err error) {
	mirrors, err := l.mirrors(ctx)
	if err != nil {
		return built, seen, err
	}
	dir, err := l.workspace("workspace", map[string]string{"crates": mirrors["crates"]})
	if err != nil {
		return built, seen, err
	}
	steps, err := l.everything(ctx, dir, target+"-seen")
	if err != nil {
		return built, seen, err
	}
	st, err := l.dir("store-" + target)
	if err != nil {
		return built, seen, err
	}
	not, left := append([]string{"/seen/yes"}, merged...), 0
	if err := partStore(ctx, l.full(), st, steps, func(s done) bool {
		for _, m := range not {
			if strings.Contains(s.Label, m) {
				l.b.say("not in the store: %s", s.Label)
				left++
				return false
			}
		}
		return true
	}); err != nil {
		return built, seen, err
	}
	if left < 2 {
		return built, seen, fmt.Errorf("%s: no step is called %q", target, merged)
	}
	// What the command runs in besides is no part of the comparison: that root has been used before.
	if _, err := l.b.build(st, "--offline", "build", dir+":bench-shell").run(ctx); err != nil {
		return built, seen, err
	}
	snap, err := takeSnapshot(st)
	side := func(target string) side {
		return side{"hewn " + target, func(int) (process, error) {
			return l.b.build(st, "--offline", "build", dir+":"+target), snap.restore()
		}}
	}
	return side(target), side(target + "-seen"), err
}
