package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// Failures is several steps that failed on their own, sorted by text. Each is there once, however much hangs on it.
type Failures struct{ Problems []*diag.Problem }

// Error is one line for each.
func (f *Failures) Error() string {
	lines := make([]string, len(f.Problems))
	for i, p := range f.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the problems.
func (f *Failures) Unwrap() []error {
	errs := make([]error, len(f.Problems))
	for i, p := range f.Problems {
		errs[i] = p
	}
	return errs
}

// verdict is the error of a run of tasks, all of which are done or given up: what failed of itself, each with the first
// way of targets that leads to it.
func (r *run) verdict(tasks []*task) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var problems []*diag.Problem
	seen := map[*task]bool{}
	failed := false
	var visit func(t *task, targets []string)
	visit = func(t *task, targets []string) {
		if t == nil || seen[t] || t.done && !t.failed {
			return
		}
		seen[t], failed = true, true
		if t.n.Op == opTarget {
			targets = append(slices.Clip(targets), t.n.Name)
		}
		if t.err != nil {
			label := t.n.Label
			if t.n.Op == opTarget {
				label = ""
			}
			problems = append(problems, chain(targets, label, t.err))
		}
		for _, u := range slices.Concat(t.bases, t.in) {
			visit(u, targets)
		}
		visit(t.plan, targets)
	}
	for _, t := range tasks {
		visit(t, nil)
	}
	if !failed {
		return nil
	}
	problems = distinct(problems)
	switch len(problems) {
	case 0:
		return fmt.Errorf("stopped: %w", context.Cause(r.ctx))
	case 1:
		return problems[0]
	}
	return &Failures{problems}
}

// distinct sorts problems by text and leaves out those that differ from another one only in the targets that led there.
func distinct(problems []*diag.Problem) []*diag.Problem {
	slices.SortStableFunc(problems, func(a, b *diag.Problem) int { return strings.Compare(a.Error(), b.Error()) })
	return slices.CompactFunc(problems, func(a, b *diag.Problem) bool { return a.Error() == b.Error() })
}

// chain puts in front of err what it happened in: the targets from the outermost, then the step.
func chain(targets []string, label string, err error) *diag.Problem {
	var where []string
	for _, t := range targets {
		where = append(where, "target "+t)
	}
	if label != "" && (len(targets) == 0 || targets[len(targets)-1] != label) {
		where = append(where, "step `"+label+"`")
	}
	if len(where) == 0 {
		where = []string{"build"}
	}
	prefix := strings.Join(where, ": ")
	var p *diag.Problem
	if !errors.As(err, &p) {
		p = diag.Failf("step-failed", "%s", prefix).Because(err)
		var fault *PanicError
		if errors.As(err, &fault) {
			p.Code = "fault"
			p.Hint("this is a fault in hewn, not in what you build: please report it")
		}
		return p
	}
	out := *p
	if error(p) == err {
		out.What = prefix + ": " + p.What
		return &out
	}
	// Somebody has put words around the problem. They stay, and with them its position.
	out.Pos, out.What, out.Cause = diag.Position{}, prefix, err
	return &out
}

// conflictProblem makes a problem of a conflict between the parts of a merge, if that is what err is.
func conflictProblem(what string, err error) error {
	var c *tree.ConflictError
	if !errors.As(err, &c) {
		return err
	}
	return diag.Failf("conflict", "two %s have different things at `/%s`", what, c.Path).
		With(fmt.Sprintf("%s has a %s", c.A, c.EntryA), fmt.Sprintf("%s has a %s", c.B, c.EntryB)).
		Hint("take the path out of one of them, or overlay one on the other, or name the path in `overlaps` where a recipe can")
}

// tailLines is how much of a failed action's log a person is shown, and maxLine how much of a line.
const (
	tailLines = 30
	maxLine   = 2000
)

// actionProblem tells of an action that ended badly.
func (r *run) actionProblem(t *task, out *executor.Outcome) error {
	if out.Killed == "cancelled" {
		return context.Canceled
	}
	c := t.desc.request
	var p *diag.Problem
	switch {
	case out.Killed == "time":
		p = diag.Failf("action-failed", "the command was ended because it took longer than %s", c.Limits.Time)
	case out.Killed == "memory":
		p = diag.Failf("action-failed", "the command was ended because it needed more than %d MiB of memory", c.Limits.Memory>>20)
	case out.Killed != "":
		p = diag.Failf("action-failed", "the command was ended: %s", out.Killed)
	case out.ExitCode > 128:
		p = diag.Failf("action-failed", "the command was ended by signal %d", out.ExitCode-128)
	case out.ExitCode != 0:
		p = diag.Failf("action-failed", "the command ended with exit code %d", out.ExitCode)
	default:
		p = diag.Failf("output-missing", "the command did not make %s", quoteAll(out.Missing))
	}
	line := "command: " + CommandLine(c.Action.Dir, c.Action.Args)
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + "…"
	}
	p.With(line)
	p.With(r.tail(out.Log)...)
	for _, h := range out.Hints {
		p.Hint("%s", h)
	}
	for _, h := range r.advice(c.Action.Root, out.Log) {
		p.Hint("%s", h)
	}
	if !out.Log.IsZero() && t.target != "" {
		p.Hint("the whole log: `hewn log %s`", r.reference(t))
	}
	if out.Kept != "" {
		p.Hint("its root is kept in `%s`", out.Kept)
	}
	return p
}

// reference is what a person types to mean t's step: RECIPE:TARGET, and the step's label unless it is the target's.
func (r *run) reference(t *task) string {
	ref := r.e.cfg.Recipe + ":" + t.target
	if t.target != t.n.Label {
		ref += ":" + t.n.Label
	}
	return ShellQuote(ref)
}

// advice is what others know about what a log says.
func (r *run) advice(root tree.Tree, log digest.Digest) (hints []string) {
	if r.e.cfg.Advise != nil {
		r.withLog(log, func(in io.Reader) { hints = r.e.cfg.Advise(context.WithoutCancel(r.ctx), root, in) })
	}
	return hints
}

// advised adds to a native step's failure what others know about its details. Its first input serves as the root.
func (r *run) advised(err error, inputs []tree.Tree) error {
	p, ok := err.(*diag.Problem) //nolint:errorlint // what others have put words around is theirs
	if !ok || p.Kind != diag.Failed || len(p.Detail) == 0 || len(inputs) == 0 || r.e.cfg.Advise == nil {
		return err
	}
	for _, h := range r.e.cfg.Advise(context.WithoutCancel(r.ctx), inputs[0], strings.NewReader(strings.Join(p.Detail, "\n")+"\n")) {
		p.Hint("%s", h)
	}
	return p
}

// tail is the last lines of a log.
func (r *run) tail(log digest.Digest) (lines []string) {
	r.withLog(log, func(in io.Reader) {
		var w tailWriter
		_, _ = io.Copy(&w, in)
		lines = w.last()
	})
	return lines
}

// withLog calls f with a log. A log that cannot be read is none.
func (r *run) withLog(log digest.Digest, f func(io.Reader)) {
	if log.IsZero() {
		return
	}
	in, err := r.e.cfg.Store.Open(context.WithoutCancel(r.ctx), log)
	if err != nil {
		return
	}
	defer in.Close()
	f(in)
}

// tailWriter keeps the last tailLines lines of what is written to it, each cut to maxLine bytes.
type tailWriter struct {
	lines []string
	line  []byte
	back  bool // the last byte was a carriage return
}

func (w *tailWriter) Write(p []byte) (int, error) {
	for _, c := range p {
		if w.back && c != '\n' { // progress bars: what is overwritten is not shown
			w.line = w.line[:0]
		}
		w.back = c == '\r'
		switch {
		case c == '\n':
			w.end()
		case w.back:
		case len(w.line) < maxLine:
			w.line = append(w.line, c)
		}
	}
	return len(p), nil
}

func (w *tailWriter) end() {
	if len(w.lines) == tailLines {
		w.lines = append(w.lines[:0], w.lines[1:]...)
	}
	w.lines = append(w.lines, strings.ToValidUTF8(string(w.line), "\uFFFD"))
	w.line = w.line[:0]
}

func (w *tailWriter) last() []string {
	if len(w.line) > 0 {
		w.end()
	}
	return w.lines
}

// impureProblem tells of a native step that gave another tree than the cache has.
func (r *run) impureProblem(ctx context.Context, t *task, res *result) error {
	p := diag.Failf("native-impure", "native step %s gave another result than the one in the cache", t.n.Name).
		Hint("its code has changed without a new version, or its result depends on more than its inputs")
	stop := errors.New("enough")
	_ = tree.Diff(ctx, r.e.cfg.Store, t.suspect.output, res.output, func(path string, old, now *tree.Entry) error {
		switch {
		case old == nil:
			p.With(fmt.Sprintf("%s: only now: %s", path, now))
		case now == nil:
			p.With(fmt.Sprintf("%s: only in the cache: %s", path, old))
		default:
			p.With(fmt.Sprintf("%s: was %s, is %s", path, old, now))
		}
		if len(p.Detail) == tailLines {
			return stop
		}
		return nil
	})
	return p
}

// CommandLine is a command as a person would type it in a shell that stands in dir.
func CommandLine(dir string, args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = ShellQuote(a)
	}
	line := strings.Join(quoted, " ")
	if dir != "/" && dir != "" {
		line = "cd " + ShellQuote(dir) + " && " + line
	}
	return line
}

// ShellQuote quotes s for a shell if it needs that: on one line, whatever is in it.
func ShellQuote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("@%_+=:,./-", c))
	}) < 0
	if plain {
		return s
	}
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}

func quoteAll(names []string) string {
	return "`" + strings.Join(names, "`, `") + "`"
}

// keepDump keeps the text of t's key, so that a later run can say what has changed in it.
func (r *run) keepDump(t *task) {
	if r.e.own[t.n.Name] {
		return
	}
	_, _ = r.e.cfg.Store.Put(r.ctx, []byte(t.desc.dump())) // for `hewn why` alone: no reason to fail
}
