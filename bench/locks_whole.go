package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// wholeTwin is all that the twin's locks give; with "-seen" each is also looked at in its place.
var wholeTwin = []string{"bench-venv-compiled", "webui-deps", "bench-go", "bench-rust"}

// putTogether is in the labels of the steps that make one tree of the packages' own.
var putTogether = []string{"/seen/yes", "virtual environment", "node_modules", "Go modules", "cargo vendor", "crates"}

// memoryGoal is for hewn itself. A command that it has waited for counts too: here nothing larger than Python runs.
const memoryGoal = 300 << 20

// wholeRows measures the twin as a whole: nothing changed, and the memory of hewn when everything is fetched into an empty
// store, and when all is put together, of packages that are there, and looked at.
func (l *locks) wholeRows(ctx context.Context) error {
	for _, fill := range []func(context.Context) error{l.mirrorPypi, l.mirrorNpm, l.fillGo, l.fillCargo} {
		if err := fill(ctx); err != nil {
			return err
		}
	}
	dir, _, err := l.fetchWorkspace(ctx)
	if err != nil {
		return err
	}
	refs := func(suffix string, args ...string) []string {
		for _, t := range wholeTwin {
			args = append(args, dir+":"+t+suffix)
		}
		return args
	}
	// What is kept of a store is what the steps of each target say.
	var steps []done
	for _, t := range wholeTwin {
		more, err := l.everything(ctx, dir, t+"-seen")
		if err != nil {
			return err
		}
		steps = append(steps, more...)
	}
	nothing := l.b.build(l.full(), refs("", "build")...)
	if _, err := nothing.run(ctx); err != nil {
		return err
	}
	s, err := l.b.repeat(ctx, l.b.fives, nothing)
	if err != nil {
		return err
	}
	l.within("the whole twin, nothing changed", 50*time.Millisecond, s, "start of the program, one stat a source file")

	cold := side{"hewn fetch, the whole twin", func(int) (process, error) {
		st, err := l.dir("store-whole")
		p := l.b.build(st, "fetch", dir+":bench-all") // fetch takes one target
		p.rss = true
		return p, err
	}}
	st := filepath.Join(l.work, "store-whole")
	if err := partStore(ctx, l.full(), st, steps, func(s done) bool { return !contains(s.Label, putTogether) }); err != nil {
		return err
	}
	snap, err := takeSnapshot(st)
	if err != nil {
		return err
	}
	warm := side{"hewn build, the whole twin", func(int) (process, error) {
		p := l.b.build(st, refs("-seen", "--offline", "build")...)
		p.rss = true
		return p, snap.restore()
	}}
	all, err := l.turns(ctx, warm, cold)
	if err != nil {
		return err
	}
	l.memory("memory of hewn, the whole twin put together of its packages and looked at", all[0], "entries of the largest tree")
	l.memory("memory of hewn, fetch of the whole twin into an empty store", all[1], "what is unpacked at the same time")
	return nil
}

// memory adds a row with the largest resident set that was seen.
func (l *locks) memory(what string, s *series, bound string) {
	l.b.table.add(row{what, fmt.Sprintf("%d MB", memoryGoal>>20), s.String(),
		fmt.Sprintf("%s: %.2f of the goal", verdict(s.rss <= memoryGoal), float64(s.rss)/memoryGoal), bound})
}
