// Command bench measures the whole program against its goals and prints one table. bench/run builds hewn and calls it.
//
// Every row is the median of several runs of a process, and rows that are compared with another program take turns with
// it, so that a busy machine slows down both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type bench struct {
	hewn     string
	examples string
	store    string
	temp     string
	runs     int
	rounds   int
	jobs     int
	fives    int
	cache    string
	verbose  bool
	table    table
	locks    *locks
}

// namedRow is a row, or several, by the name that -rows has for them.
type namedRow struct {
	name    string
	measure func(context.Context) error
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == wrap {
		os.Exit(resident(os.Args[2:]))
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	var rows string
	var keep bool
	flag.StringVar(&b.hewn, "hewn", "bin/hewn", "the program to measure")
	flag.StringVar(&b.examples, "examples", "examples", "the directory that holds the miniature and what belongs to it")
	flag.StringVar(&b.store, "store", os.Getenv("HEWN_STORE"), "the store for the miniature's rows (default: hewn's own)")
	flag.StringVar(&b.temp, "temp", "", "a directory for copies and for new stores (default: beside the store)")
	flag.IntVar(&b.runs, "runs", 20, "runs of what takes milliseconds")
	flag.IntVar(&b.rounds, "rounds", 3, "runs of what takes seconds")
	flag.IntVar(&b.fives, "fives", 5, "runs of what is compared with the tools of the locks")
	flag.StringVar(&b.cache, "cache", "", "a directory that keeps what the rows of locks download (default: beside the store)")
	flag.IntVar(&b.jobs, "jobs", 2, "actions at the same time in the rows of cold steps, for hewn and for ninja")
	flag.StringVar(&rows, "rows", "noop,python,go,steps,cold-steps,image,image-python,image-push,image-full,image-start", "what to measure; `up` is a cold start of the miniature in an empty store, which downloads everything; `locks` compares with the tools that own the lock formats")
	flag.BoolVar(&keep, "keep", false, "leave the temporary directory, to look at")
	flag.BoolVar(&b.verbose, "v", false, "print every measurement")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.prepare(); err != nil {
		return err
	}
	if !keep {
		defer os.RemoveAll(b.temp)
	}
	// Nothing is removed before the end, and what makes and removes most comes late: an ext4 without a journal walks over
	// everything that was removed within a minute for each file that is made.
	all := []namedRow{
		{"noop", b.noop}, {"python", b.python}, {"go", b.golang},
		{"image", b.imageNoop}, {"image-python", b.imagePython}, {"image-push", b.imagePush}, {"image-full", b.imageFull}, {"image-start", b.imageStart},
		{"cold-steps", b.coldSteps}, {"steps", b.steps}, {"up", b.up},
	}
	for _, r := range lockRows {
		all = append(all, namedRow{r.name, func(ctx context.Context) error {
			l, err := b.twin(ctx)
			if err != nil {
				return err
			}
			return r.measure(l, ctx)
		}})
	}
	wanted := strings.Split(rows, ",")
	for _, r := range all {
		if !slices.ContainsFunc(wanted, func(w string) bool {
			return w == r.name || strings.HasPrefix(w, "locks") && strings.HasPrefix(r.name, w+"-")
		}) {
			continue
		}
		if err := r.measure(ctx); errors.Is(err, errMissing) {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", r.name, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	fmt.Println(machine())
	b.table.print(os.Stdout)
	return nil
}

// errMissing is why a row is left out: a program that it compares with is not there.
var errMissing = errors.New("not installed")

// prepare makes all paths absolute and puts the temporary directory on the store's file system.
func (b *bench) prepare() error {
	for _, p := range []*string{&b.hewn, &b.examples, &b.store, &b.cache, &b.temp} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	parent := b.temp
	if parent == "" && b.store != "" {
		parent = filepath.Dir(b.store)
	}
	if parent != "" {
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	var err error
	if b.temp, err = os.MkdirTemp(parent, "hewn-bench-"); err == nil && b.cache == "" {
		b.cache = filepath.Join(filepath.Dir(b.temp), "hewn-bench-cache")
	}
	return err
}

// build is a command line of hewn with the given store ("" for the miniature's).
func (b *bench) build(store string, args ...string) process {
	if store == "" {
		store = b.store
	}
	p := process{args: append([]string{b.hewn, "--progress=plain"}, args...), env: os.Environ()}
	if store != "" {
		p.env = append(p.env, "HEWN_STORE="+store)
	}
	return p
}

func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

func median(ds []time.Duration) time.Duration {
	ds = slices.Sorted(slices.Values(ds))
	return ds[len(ds)/2]
}
