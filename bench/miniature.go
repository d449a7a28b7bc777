package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// copyExamples makes a copy of the examples in which files can be changed, and builds the miniature there once.
func (b *bench) copyExamples(ctx context.Context) (string, error) {
	dir := filepath.Join(b.temp, "examples")
	mini := filepath.Join(dir, "miniature")
	if _, err := os.Stat(dir); err == nil {
		return mini, nil
	}
	if err := os.CopyFS(dir, os.DirFS(b.examples)); err != nil {
		return "", err
	}
	m, err := b.build("", "build", mini).run(ctx)
	b.say("first build of the copy: %s", short(m.wall))
	return mini, err
}

func (b *bench) noop(ctx context.Context) error {
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	s, err := b.repeat(ctx, b.runs, b.build("", "build", mini))
	if err != nil {
		return err
	}
	b.table.add(row{"nothing changed: build of the miniature", "30 ms, 60 MB", s.String(), ratio(median(s.walls), 30*time.Millisecond),
		"start of the program (7 ms for its libraries), one stat a source file"})
	return nil
}

// edit is a change of one line, different each time.
type edit struct {
	file string
	line func(n int) string
}

// changes measures rounds of an edit: how long until the digest is printed, and until a command has run in the result.
func (b *bench) changes(ctx context.Context, e edit) (digest, mounted *series, err error) {
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(mini, e.file)
	was, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	defer os.WriteFile(file, was, 0o644)
	digest, mounted = &series{}, &series{}
	seen := ""
	for i := range b.rounds {
		// A content that no store has seen before.
		line := e.line(int(time.Now().UnixNano()/1000)%1_000_000_000 + i)
		if err := os.WriteFile(file, append(was[:len(was):len(was)], line...), 0o644); err != nil {
			return nil, nil, err
		}
		m, err := b.build("", "build", mini).run(ctx)
		if err != nil {
			return nil, nil, err
		}
		if m.out == seen {
			return nil, nil, fmt.Errorf("a change of %s changed nothing", e.file)
		}
		seen = m.out
		digest.add(m)
		// `run` builds (by its record now), makes the root and starts a command in it.
		r, err := b.build("", "run", mini, "--", "true").run(ctx)
		if err != nil {
			return nil, nil, err
		}
		again, err := b.build("", "run", mini, "--", "true").run(ctx)
		if err != nil {
			return nil, nil, err
		}
		b.say("%s: %s, then run %s, run again %s", e.file, short(m.wall), short(r.wall), short(again.wall))
		r.wall, r.cpu = r.wall+m.wall, r.cpu+m.cpu
		mounted.add(r)
	}
	return digest, mounted, nil
}

func (b *bench) python(ctx context.Context) error {
	digest, mounted, err := b.changes(ctx, edit{"authentik/core/views.py", func(n int) string { return fmt.Sprintf("\n_BENCH = %d\n", n) }})
	if err != nil {
		return err
	}
	b.table.add(row{"one line of Python changed, to the digest", "0.5 s", digest.String(), ratio(median(digest.walls), time.Second/2),
		"steps of the backend that look at the source; no web or Go step"})
	b.table.add(row{"the same, and a command has run in the new root", "-", mounted.String(), "",
		"two processes; a view of what changed over the view before, the sandbox's server"})
	return nil
}

func (b *bench) golang(ctx context.Context) error {
	digest, mounted, err := b.changes(ctx, edit{"internal/web/web.go", func(n int) string { return fmt.Sprintf("\nvar Bench%d = %d\n", n, n) }})
	if err != nil {
		return err
	}
	b.table.add(row{"one line of the Go server changed, to the digest", "5 s", digest.String(), ratio(median(digest.walls), 5*time.Second),
		"the compiler and the linker"})
	b.table.add(row{"the same, and a command has run in the new root", "-", mounted.String(), "", "as above"})
	return nil
}

// up starts the miniature from nothing: downloads included, so it is only measured when asked for.
func (b *bench) up(ctx context.Context) error {
	mini, err := b.copyExamples(ctx)
	if err != nil {
		return err
	}
	m, err := b.build(filepath.Join(b.temp, "cold"), "up", mini, "--check", "--state", filepath.Join(b.temp, "state")).run(ctx)
	if err != nil {
		return err
	}
	b.table.add(row{"cold `up` of the miniature, empty store", "5 min, 300 MB", fmt.Sprintf("%s (cpu %s, %d MB)", short(m.wall), short(m.cpu), m.rss>>20),
		ratio(m.wall, 5*time.Minute), "compilers, the network and the processors"})
	return nil
}

func ratio(got, goal time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.2f", got.Seconds()/goal.Seconds()), ".00") + " of the goal"
}
