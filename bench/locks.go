package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// locks are the rows that compare hewn with the tools that own the lock formats, on a copy of e2e/twin. Everything that
// is downloaded lies in the cache directory and serves the next run; everything else in the temporary one.
//
// Nothing large is removed before the end: see RESULTS.md on what removing costs on some file systems.
type locks struct {
	b      *bench
	cache  string
	work   string
	repo   string
	tools  tools
	done   map[string]bool // what has been prepared
	copy   int
	mirror *mirror
	steps  map[string][]done // of targets that were built
}

// lockRow is a group of rows; -rows names it, or with `locks` or `locks-fetch` all that begin so.
type lockRow struct {
	name    string
	measure func(*locks, context.Context) error
}

var lockRows = []lockRow{
	{"locks-python", (*locks).pythonRows}, {"locks-changed", (*locks).changedRows}, {"locks-node", (*locks).nodeRows}, {"locks-go", (*locks).goRows}, {"locks-rust", (*locks).rustRows},
	{"locks-fetch-python", (*locks).fetchPython}, {"locks-fetch-npm", (*locks).fetchNpm}, {"locks-fetch-go", (*locks).fetchGo}, {"locks-fetch-rust", (*locks).fetchRust},
	{"locks-unpack", (*locks).unpackRows}, {"locks-edit-rust", (*locks).editRust}, {"locks-edit-ts", (*locks).editTypescript}, {"locks-whole", (*locks).wholeRows},
}

// twin prepares, once, what all rows of locks need.
func (b *bench) twin(ctx context.Context) (*locks, error) {
	if b.locks != nil {
		return b.locks, nil
	}
	repo, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	l := &locks{b: b, cache: b.cache, work: b.sub("locks"), repo: repo, done: map[string]bool{}, steps: map[string][]done{}}
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		return nil, err
	}
	if err := l.tools.find(ctx, l.cache, filepath.Join(repo, "e2e/twin/tools.txt")); err != nil {
		return nil, err
	}
	b.locks = l
	return l, nil
}

// once does a piece of preparation if it has not been done in this run.
func (l *locks) once(name string, f func() error) error {
	if l.done[name] {
		return nil
	}
	began := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("prepare %s: %w", name, err)
	}
	l.b.say("prepared %s: %s", name, short(time.Since(began)))
	l.done[name] = true
	return nil
}

// dir is a new empty directory of this run.
func (l *locks) dir(name string) (string, error) {
	l.copy++
	dir := filepath.Join(l.work, fmt.Sprintf("%s-%d", name, l.copy))
	return dir, os.MkdirAll(dir, 0o755)
}

// project copies some of the twin's files into a new directory, with replacements in each of them.
func (l *locks) project(name string, replace *strings.Replacer, paths ...string) (string, error) {
	dir, err := l.dir(name)
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		if err := copyTree(filepath.Join(l.repo, "e2e/twin", p), filepath.Join(dir, p), replace); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// copyTree copies a file or a directory; replace, if not nil, goes over the text of what is copied.
func copyTree(from, to string, replace *strings.Replacer) error {
	return filepath.WalkDir(from, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if e.IsDir() {
			if e.Name() == "node_modules" || e.Name() == "target" {
				return filepath.SkipDir
			}
			return os.MkdirAll(dst, 0o755)
		}
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if replace != nil {
			b = []byte(replace.Replace(string(b)))
		}
		return os.WriteFile(dst, b, 0o644)
	})
}

// workspace is a copy of the twin as a workspace of hewn, whose recipe has the targets of locks.star besides. mirrors
// are where artifacts come from; without any, hewn finds the registries of this machine by itself.
func (l *locks) workspace(name string, mirrors map[string]string) (string, error) {
	dir, err := l.dir(name)
	if err != nil {
		return "", err
	}
	if err := copyTree(filepath.Join(l.repo, "e2e/twin"), dir, nil); err != nil {
		return "", err
	}
	more, err := os.ReadFile(filepath.Join(l.repo, "bench/locks.star"))
	if err != nil {
		return "", err
	}
	if err := appendFile(filepath.Join(dir, "recipe.star"), string(more)); err != nil {
		return "", err
	}
	config := strings.Builder{}
	for _, eco := range []string{"pypi", "npm", "go", "crates"} {
		if u := mirrors[eco]; u != "" {
			fmt.Fprintf(&config, "[mirror.%s]\nurls = [%q]\n", eco, u)
		}
	}
	toml := filepath.Join(dir, "hewn.toml")
	b, err := os.ReadFile(toml)
	if err != nil {
		return "", err
	}
	bundles := "urls = [\"" + filepath.Join(l.repo, "examples/miniature-git") + "/{name}.bundle\"]"
	text := strings.Replace(string(b), `urls = ["../../examples/miniature-git/{name}.bundle"]`, bundles, 1)
	return dir, os.WriteFile(toml, []byte(text+"\n"+config.String()), 0o644)
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// side is one of two that are compared: what it does once, and what has to be there before, which is not measured.
type side struct {
	name string
	next func(i int) (process, error)
}

// turns runs all sides, one after the other, as often as rows of seconds are run.
func (l *locks) turns(ctx context.Context, sides ...side) ([]*series, error) {
	out := make([]*series, len(sides))
	for i := range l.b.fives {
		for k, s := range sides {
			p, err := s.next(i)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if l.mirror != nil {
				l.mirror.files.Store(0)
				l.mirror.bytes.Store(0)
			}
			m, err := p.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if l.mirror != nil {
				m.files, m.served = l.mirror.files.Load(), l.mirror.bytes.Load()
			}
			l.b.say("%s: %s, cpu %s, %d MB; fetched %d files, %d KB", s.name, short(m.wall), short(m.cpu), m.rss>>20, m.files, m.served>>10)
			if out[k] == nil {
				out[k] = &series{}
			}
			out[k].add(m)
		}
	}
	return out, nil
}

// compare adds a row with the ratio of hewn to another tool.
func (l *locks) compare(what string, limit float64, us, them *series, tool, bound string) {
	wall := median(us.walls).Seconds() / median(them.walls).Seconds()
	cpu := median(us.cpus).Seconds() / median(them.cpus).Seconds()
	l.b.table.add(row{what, fmt.Sprintf("%.2f x %s", limit, tool), us.String() + "; " + tool + " " + them.String(),
		fmt.Sprintf("%s: %.2f x %s (processor time %.2f x)", verdict(wall <= limit), wall, tool, cpu), bound})
}

// within adds a row with the ratio of hewn to a time.
func (l *locks) within(what string, goal time.Duration, us *series, bound string) {
	wall, cpu := median(us.walls), median(us.cpus)
	l.b.table.add(row{what, short(goal), us.String(),
		fmt.Sprintf("%s: %s (processor time %s)", verdict(wall <= goal), ratio(wall, goal), ratio(cpu, goal)), bound})
}

func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "MISSED"
}
