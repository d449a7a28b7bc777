// Command fuzz runs all fuzz targets of the repository, some at the same time, and fails on any crash.
//
// A target that takes bytes reads a whole file, page or archive from outside: it runs for -time. What takes only texts
// reads a name, a version or a marker, and what lies in hewn's own rooms reads what hewn wrote: those run for -short.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// own are rooms whose files hewn writes itself, and a search that reads no file.
var own = []string{"internal/store/", "internal/engine", "internal/executor/", "internal/python/resolver"}

// memory is what one process may take, in KiB of address space. Go itself reserves about one and a half GiB of it.
const memory = 4 << 20

// grace is how long a target may go on after its time: seeds are run first, and the last finding is made smaller. On a
// busy machine, where this runs with what others leave, both take long.
const grace = 6 * time.Minute

// target is one fuzz target.
type target struct {
	dir, name string
	whole     bool // reads a whole file from outside
}

type runner struct {
	time, short time.Duration
	jobs        int
	bin, cache  string

	mu     sync.Mutex
	failed []string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run() error {
	r := &runner{}
	var only string
	var list bool
	flag.DurationVar(&r.time, "time", 10*time.Second, "for targets that read whole files")
	flag.DurationVar(&r.short, "short", 10*time.Second, "for all others, if shorter")
	// Twice as many as processors: half as many tries in each target's minute, but half the time for all of them.
	flag.IntVar(&r.jobs, "jobs", 2*runtime.NumCPU(), "targets at the same time")
	flag.StringVar(&only, "run", "", "a pattern of what to run: part of `directory FuzzName`")
	flag.BoolVar(&list, "list", false, "list the targets only")
	flag.Parse()
	r.short = min(r.short, r.time)

	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	targets, err := find("internal", pattern)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no targets")
	}
	if list {
		for _, t := range targets {
			fmt.Println(r.of(t), t)
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return r.all(ctx, targets)
}

// String is how a target is called in output and patterns.
func (t target) String() string { return t.dir + " " + t.name }

// of is the time that a target gets.
func (r *runner) of(t target) time.Duration {
	if t.whole {
		return r.time
	}
	return r.short
}

// find parses the tests below a directory.
func find(root string, pattern *regexp.Regexp) ([]target, error) {
	var out []target
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		outside := !slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(dir+"/", strings.TrimSuffix(o, "/")+"/") })
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			if t := (target{dir, fn.Name.Name, outside && takesBytes(fn)}); pattern.MatchString(t.String()) {
				out = append(out, t)
			}
		}
		return nil
	})
	return out, err
}

// takesBytes says that the function given to (*testing.F).Fuzz has a []byte among its arguments.
func takesBytes(fn *ast.FuncDecl) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		lit, isFunc := call.Args[0].(*ast.FuncLit)
		if !ok || !isFunc || sel.Sel.Name != "Fuzz" {
			return true
		}
		for _, p := range lit.Type.Params.List {
			a, isArray := p.Type.(*ast.ArrayType)
			found = found || isArray && a.Len == nil
		}
		return false
	})
	return found
}

// all builds every package's test once, then runs the targets, the longest first.
func (r *runner) all(ctx context.Context, targets []target) error {
	begin := time.Now()
	tmp, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	r.bin = tmp
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	r.cache = filepath.Join(strings.TrimSpace(string(out)), "fuzz", "hewn")

	var dirs []string
	for _, t := range targets {
		dirs = append(dirs, t.dir)
	}
	dirs = slices.Compact(dirs) // targets come sorted by directory
	if err := each(ctx, 2, dirs, r.build); err != nil {
		return err
	}
	fmt.Printf("%d packages built in %s\n", len(dirs), time.Since(begin).Round(time.Second))
	slices.SortStableFunc(targets, func(a, b target) int { return int(r.of(b) - r.of(a)) })
	if err := each(ctx, r.jobs, targets, r.fuzz); err != nil {
		return err
	}
	long := len(slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return !t.whole }))
	fmt.Printf("%d targets for %s, %d for %s, %d at a time, in %s\n", long, r.time, len(targets)-long, r.short, r.jobs, time.Since(begin).Round(time.Second))
	if len(r.failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	}
	return nil
}

// each calls f for all items, n at the same time, and gives the first error.
func each[T any](ctx context.Context, n int, items []T, f func(context.Context, T) error) error {
	queue := make(chan T)
	errs := make(chan error, n)
	for range n {
		go func() {
			var first error
			for item := range queue {
				if first == nil {
					first = f(ctx, item)
				}
			}
			errs <- first
		}()
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

func (r *runner) binary(dir string) string {
	return filepath.Join(r.bin, strings.ReplaceAll(dir, "/", "_")+".test")
}

func (r *runner) build(ctx context.Context, dir string) error {
	// With -fuzz the compiler counts what is covered.
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=Fuzz", "-o", r.binary(dir), "./"+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", dir, err, out)
	}
	return nil
}

// fuzz runs one target and remembers that it failed: the others still run.
func (r *runner) fuzz(ctx context.Context, t target) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.of(t)+grace, errors.New("it does not end"))
	defer cancel()
	before := crashers(t)
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memory), r.binary(t.dir),
		"-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+r.of(t).String(), "-test.fuzzminimizetime=5x", "-test.parallel=1",
		"-test.fuzzcachedir="+filepath.Join(r.cache, t.dir))
	cmd.Dir = filepath.FromSlash(t.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	after := crashers(t)
	// On a busy machine Go's own fuzzer may report that its time was over as an error; it has found nothing then.
	if err != nil && len(after) == len(before) && strings.HasSuffix(strings.TrimSpace(out.String()), "context deadline exceeded\nFAIL") {
		err = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		fmt.Printf("ok   %-32s %-22s %s\n", t.dir, t.name, last(out.String()))
		return nil
	}
	r.failed = append(r.failed, t.String())
	fmt.Printf("FAIL %s: %v\n%s\n", t, err, out.String())
	for name, text := range after {
		if _, old := before[name]; !old {
			fmt.Printf("--- %s\n%s\n", name, text)
		}
	}
	return nil
}

// crashers are the inputs that a target's package keeps, by file name.
func crashers(t target) map[string]string {
	names, _ := filepath.Glob(filepath.Join(t.dir, "testdata/fuzz", t.name, "*")) // the pattern is well-formed
	out := map[string]string{}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			out[name] = string(b[:min(len(b), 64<<10)])
		}
	}
	return out
}

// last is the last report of a fuzz run: what it tried and found.
func last(out string) string {
	text := ""
	for line := range strings.Lines(out) {
		if _, rest, ok := strings.Cut(line, "execs: "); ok {
			text = "execs: " + strings.TrimSpace(rest)
		}
	}
	return text
}
