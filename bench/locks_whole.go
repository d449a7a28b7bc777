package main

import (
	"context"
	"fmt"
	"time"
)

// wholeTwin is all that the twin's locks give.
var wholeTwin = []string{"python-deps", "webui-deps", "bench-go", "bench-rust"}

// wholeRows measures the twin as a whole: nothing changed, and the memory of hewn itself when everything is unpacked.
func (l *locks) wholeRows(ctx context.Context) error {
	m, err := l.mirrors(ctx)
	if err != nil {
		return err
	}
	if err := l.fillCargo(ctx); err != nil {
		return err
	}
	dir, err := l.workspace("workspace", map[string]string{"crates": m["crates"]})
	if err != nil {
		return err
	}
	refs := func(command string) (args []string) {
		args = append(args, command)
		for _, t := range wholeTwin {
			args = append(args, dir+":"+t)
		}
		return args
	}
	if _, err := l.b.build(l.full(), refs("build")...).run(ctx); err != nil {
		return err
	}
	s, err := l.b.repeat(ctx, l.b.runs, l.b.build(l.full(), refs("build")...))
	if err != nil {
		return err
	}
	l.b.table.add(row{"the whole twin, nothing changed", "50 ms", s.String(), ratio(median(s.walls), 50*time.Millisecond), "start of the program, one stat a source file"})
	empty, err := l.dir("store-whole")
	if err != nil {
		return err
	}
	cold, err := l.b.build(empty, refs("fetch")...).run(ctx)
	if err != nil {
		return err
	}
	l.b.table.add(row{"memory of hewn, fetch of the whole twin into an empty store", "300 MB", fmt.Sprintf("%d MB (%s)", cold.rss>>20, short(cold.wall)),
		fmt.Sprintf("%.2f of the goal", float64(cold.rss)/(300<<20)), "what is unpacked at the same time"})
	return nil
}
