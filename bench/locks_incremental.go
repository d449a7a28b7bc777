package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

const incrementalGoal = 1.5

// inRoot is a script in a root, as hewn's actions have it: the same programs at the same paths.
func inRoot(root, script string, set map[string]string) process {
	const enter = `mount --rbind /dev "$R/dev"
mount --rbind /proc "$R/proc"
exec chroot "$R" /bin/sh -euc "$SCRIPT"`
	args := []string{"unshare", "-m", "--propagation", "private", "sh", "-euc", enter}
	if os.Getuid() != 0 {
		args = append([]string{"unshare", "-r"}, args[1:]...)
	}
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/root", "R": root, "SCRIPT": script}
	maps.Copy(env, set)
	return process{args: args, env: environ(env)}
}

// root writes a target of the twin to a directory of the cache, in which programs can be started.
func (l *locks) root(ctx context.Context, target string) (string, error) {
	root := filepath.Join(l.cache, target)
	return root, l.filled(target, func() error {
		dir, err := l.workspace("workspace", nil)
		if err != nil {
			return err
		}
		if _, err := l.b.build(l.full(), "build", dir+":"+target, "--out", root).run(ctx); err != nil {
			return err
		}
		for _, d := range []string{"dev", "proc", "tmp", "root"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				return err
			}
		}
		return nil
	})
}

// editor changes one place of a file in two projects, in the same way, and so that no store has seen it before.
type editor struct {
	ours, theirs string // the two files
	was, text    string // text is what it becomes, with %d
	original     string
	n            int
}

func (e *editor) edit(file string) error {
	if e.original == "" {
		b, err := os.ReadFile(e.ours)
		if err != nil {
			return err
		}
		e.original = string(b)
	}
	if strings.Count(e.original, e.was) != 1 {
		return fmt.Errorf("%s: not once: %q", e.ours, e.was)
	}
	return os.WriteFile(file, []byte(strings.Replace(e.original, e.was, fmt.Sprintf(e.text, e.n), 1)), 0o644)
}

// next is another change.
func (e *editor) next() { e.n = int(time.Now().UnixNano() / 1000 % 1_000_000_000) }

// sides are a tool after an edit, and hewn after the same.
func (e *editor) sides(name string, tool, hewn process) (them, us side) {
	them = side{name, func(int) (process, error) {
		e.next()
		return tool, e.edit(e.theirs)
	}}
	return them, side{"hewn, one line changed", func(int) (process, error) { return hewn, e.edit(e.ours) }}
}

// actionsAfter edits once, builds, and gives what commands hewn has run for that.
func (l *locks) actionsAfter(ctx context.Context, e *editor, ref string) (ran []string, err error) {
	e.next()
	if err := e.edit(e.ours); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, l.b.hewn, "--progress=json", "--offline", "build", ref)
	cmd.Env = append(os.Environ(), "HEWN_STORE="+l.full())
	var events bytes.Buffer
	cmd.Stderr = &events
	err = cmd.Run()
	for line := range bytes.Lines(events.Bytes()) {
		var e struct {
			Event string
			Data  struct{ Kind, Label string }
		}
		if json.Unmarshal(line, &e) == nil && e.Event == "StepStarted" && e.Data.Kind == "action" {
			ran = append(ran, e.Data.Label)
		}
	}
	if err == nil && len(ran) != 1 {
		err = fmt.Errorf("%s: one line changed, and these were run: %q", ref, ran)
	}
	return ran, err
}

// editRust compares one changed line of the twin's Rust program with cargo in a work tree, in the same root: the same
// compiler, the same crates, the same profile.
func (l *locks) editRust(ctx context.Context) error {
	dir, err := l.workspace("workspace", nil)
	if err != nil {
		return err
	}
	ref := dir + ":authentik-rust"
	steps, err := l.everything(ctx, dir, "authentik-rust")
	if err != nil {
		return err
	}
	root, err := l.root(ctx, "bench-cargo")
	if err != nil {
		return err
	}
	cargo := inRoot(root, "cd /build/src && exec cargo build --locked --offline --release --target-dir /build/target --bin authentik",
		map[string]string{"CARGO_HOME": "/usr/local/cargo", "CARGO_NET_OFFLINE": "true", "CARGO_TERM_COLOR": "never", "PYO3_PYTHON": "/usr/bin/python3.14"})
	if err := l.filled("bench-cargo-built", func() error { return l.cargoTree(ctx, root, steps, cargo) }); err != nil {
		return err
	}
	e := &editor{ours: filepath.Join(dir, "src/main.rs"), theirs: filepath.Join(root, "build/src/src/main.rs"), was: `"uuid {}"`, text: `"uuid %d {}"`}
	ran, err := l.actionsAfter(ctx, e, ref)
	if err != nil {
		return err
	}
	l.b.say("run after an edit: %q", ran)
	crates, err := filepath.Glob(filepath.Join(root, "build/target/release/deps/*.rlib"))
	if err != nil {
		return err
	}
	them, us := e.sides("cargo build", cargo, l.b.build(l.full(), "--offline", "build", ref))
	s, err := l.turns(ctx, them, us)
	if err != nil {
		return err
	}
	l.compare(fmt.Sprintf("one line of Rust changed, %d crates below it", len(crates)), incrementalGoal, s[1], s[0], "cargo build --offline", "the compiler and the linker")
	return nil
}

// cargoTree is a work tree in which cargo has built the program before. What comes from the lock was compiled by the same
// cargo at the same paths in hewn's step, and is taken from there; else it would take as long once more.
func (l *locks) cargoTree(ctx context.Context, root string, steps []done, cargo process) error {
	i := slices.IndexFunc(steps, func(s done) bool {
		return strings.Contains(s.Label, "cargo build dependencies of") && s.Kind == "native"
	})
	if i < 0 {
		return errors.New("no step compiles the dependencies")
	}
	if err := checkout(ctx, l.full(), steps[i].Output, filepath.Join(root, "build/target")); err != nil {
		return err
	}
	// cargo compares times, and all are the same in a root of hewn.
	for _, dir := range []string{"build/target", "usr/local/cargo"} {
		if err := oldFiles(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	project, err := l.cargoProject(ctx)
	if err != nil {
		return err
	}
	if err := copyTree(project, filepath.Join(root, "build/src"), nil); err != nil {
		return err
	}
	_, err = cargo.run(ctx)
	return err
}

// oldFiles gives all that is in a directory one time.
func oldFiles(dir string) error {
	then := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	return filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.Type()&os.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(p, then, then)
	})
}

func checkout(ctx context.Context, from string, d digest.Digest, to string) error {
	st, err := disk.Open(from)
	if err != nil {
		return err
	}
	defer st.Close()
	return st.Checkout(ctx, tree.Of(d), to)
}
