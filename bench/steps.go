package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// lattice is a graph of n steps, 20 wide; each hangs on one to three of the layer before.
func lattice(n int) (needs [][]int) {
	const wide = 20
	needs = make([][]int, n)
	for i := range needs {
		layer := i / wide
		for k := 0; layer > 0 && k < 1+i%3; k++ {
			needs[i] = append(needs[i], (layer-1)*wide+(i%wide+k*7)%wide)
		}
	}
	return needs
}

// last is the steps that nothing hangs on: what is asked for.
func last(needs [][]int) (ends []int) {
	used := make([]bool, len(needs))
	for _, list := range needs {
		for _, i := range list {
			used[i] = true
		}
	}
	for i, u := range used {
		if !u {
			ends = append(ends, i)
		}
	}
	return ends
}

// shell finds a static program that is a shell.
func shell() (string, error) {
	for _, p := range []string{"/bin/busybox", "/usr/bin/busybox"} {
		if out, err := exec.Command(p, "sh", "-c", "echo ok").Output(); err == nil && string(out) == "ok\n" {
			return p, nil
		}
	}
	return "", fmt.Errorf("busybox-static: %w", errMissing)
}

// recipe writes a recipe with one run for each step, spelled out as ninja's file has to be, and its root: one static
// shell.
func recipe(dir string, needs [][]int, sh string) error {
	var s strings.Builder
	s.WriteString("def all(t):\n    root = t.source(\"root\")\n")
	for i, list := range needs {
		fmt.Fprintf(&s, "    s%d = run([\"sh\", \"-c\", \"echo %d >/out/%d\"], [root", i, i, i)
		for _, k := range list {
			fmt.Fprintf(&s, ", s%d", k)
		}
		fmt.Fprintf(&s, "], [\"/out/%d\"], label = \"step %d\")\n", i, i)
	}
	s.WriteString("    return merge(")
	for i, k := range last(needs) {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "s%d", k)
	}
	s.WriteString(")\n\ntarget(\"all\", all, default = True)\n")
	if err := makeRoot(filepath.Join(dir, "root"), sh); err != nil {
		return err
	}
	for name, text := range map[string]string{"recipe.star": s.String(), "sources.toml": "[root]\npath = \"root\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func makeRoot(dir, sh string) error {
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	b, err := os.ReadFile(sh)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bin", "sh"), b, 0o755)
}

// ninja writes the same graph for ninja; command is what a step runs, with $i for its number and $in for what it needs.
func ninja(dir string, needs [][]int, command string) error {
	var s strings.Builder
	fmt.Fprintf(&s, "rule step\n  command = %s\n  description = step $i\n", command)
	for i, list := range needs {
		fmt.Fprintf(&s, "build out/%d: step", i)
		for _, k := range list {
			fmt.Fprintf(&s, " out/%d", k)
		}
		fmt.Fprintf(&s, "\n  i = %d\n", i)
	}
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "build.ninja"), []byte(s.String()), 0o644)
}

// steps measures hewn and ninja on a graph in which nothing has changed, taking turns.
func (b *bench) steps(ctx context.Context) error {
	sh, err := shell()
	if err != nil {
		return err
	}
	tool, err := exec.LookPath("ninja")
	if err != nil {
		return fmt.Errorf("ninja: %w", errMissing)
	}
	goals := map[int]time.Duration{1000: 20 * time.Millisecond, 10000: 40 * time.Millisecond}
	for _, n := range []int{1000, 10000} {
		needs := lattice(n)
		dir, nj, store := b.sub("steps-%d", n), b.sub("ninja-%d", n), b.sub("store-%d", n)
		if err := recipe(dir, needs, sh); err != nil {
			return err
		}
		if err := ninja(nj, needs, "echo $i >$out"); err != nil {
			return err
		}
		ours := b.build(store, "build", dir)
		theirs := process{args: []string{tool, "-C", nj, "--quiet"}, env: os.Environ()}
		for _, p := range []process{ours, theirs} { // everything is made once
			m, err := p.run(ctx)
			if err != nil {
				return err
			}
			b.say("%d steps, first: %s: %s, %d MB", n, filepath.Base(p.args[0]), short(m.wall), m.rss>>20)
		}
		us, them := &series{}, &series{}
		for range b.runs {
			for p, s := range map[*process]*series{&ours: us, &theirs: them} {
				m, err := p.run(ctx)
				if err != nil {
					return err
				}
				s.add(m)
			}
		}
		b.table.add(row{fmt.Sprintf("%d steps, nothing changed", n), short(goals[n]), us.String() + "; ninja " + short(median(them.walls)),
			fmt.Sprintf("%s; %.2f of ninja", ratio(median(us.walls), goals[n]), median(us.walls).Seconds()/median(them.walls).Seconds()),
			"start of the program; hashing of the recipe, which has a line a step"})
	}
	return nil
}

// coldSteps measures a thousand sandboxed steps, from an empty store, against ninja with bwrap.
func (b *bench) coldSteps(ctx context.Context) error {
	sh, err := shell()
	if err != nil {
		return err
	}
	tool, err := exec.LookPath("ninja")
	if err != nil {
		return fmt.Errorf("ninja: %w", errMissing)
	}
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return fmt.Errorf("bwrap: %w", errMissing)
	}
	const n = 1000
	needs := lattice(n)
	dir := b.sub("cold-steps")
	if err := recipe(dir, needs, sh); err != nil {
		return err
	}
	root := filepath.Join(dir, "bwrap-root")
	if err := makeRoot(root, sh); err != nil {
		return err
	}
	for _, d := range []string{"dev", "proc", "tmp", "out"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	us, them := &series{}, &series{}
	for i := range b.rounds {
		store, nj := b.sub("cold-store-%d", i), b.sub("cold-ninja-%d", i)
		// What hewn's sandbox gives as well: own namespaces, /dev, /proc, a /tmp, and a root that is not the host's.
		command := strings.Join([]string{bwrap, "--unshare-all", "--die-with-parent", "--clearenv", "--ro-bind", root, "/", "--dev", "/dev",
			"--proc", "/proc", "--tmpfs", "/tmp", "--bind", filepath.Join(nj, "out"), "/out", "/bin/sh -c 'echo $i >/out/$i'"}, " ")
		if err := ninja(nj, needs, command); err != nil {
			return err
		}
		m, err := b.build(store, "build", "--jobs", fmt.Sprint(b.jobs), dir).run(ctx)
		if err != nil {
			return err
		}
		us.add(m)
		t, err := process{args: []string{tool, "-C", nj, "--quiet", "-j", fmt.Sprint(b.jobs)}, env: os.Environ()}.run(ctx)
		if err != nil {
			return err
		}
		them.add(t)
		b.say("cold steps: hewn %s (cpu %s), ninja %s (cpu %s)", short(m.wall), short(m.cpu), short(t.wall), short(t.cpu))
	}
	b.table.add(row{fmt.Sprintf("%d sandboxed steps, cold, %d at a time", n, b.jobs), "1.2 x ninja+bwrap", us.String() + "; ninja+bwrap " + them.String(),
		fmt.Sprintf("%.2f of ninja+bwrap", median(us.walls).Seconds()/median(them.walls).Seconds()),
		"the kernel: namespaces and mounts, inodes of the overlay's scratch directories"})
	return nil
}

func (b *bench) sub(format string, args ...any) string {
	dir := filepath.Join(b.temp, fmt.Sprintf(format, args...))
	_ = os.MkdirAll(dir, 0o755)
	return dir
}
