package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// unpackRows compares a hewn that has all artifacts of the twin as files, and unpacks them into its store, with what that
// is made of: decompression, SHA-256 and the creation of files, each alone, on the same files.
func (l *locks) unpackRows(ctx context.Context) error {
	dir, err := l.workspace("workspace", nil)
	if err != nil {
		return err
	}
	// Everything that the machine does not have yet.
	if _, err := l.b.build(l.full(), "fetch", dir+":bench-all").run(ctx); err != nil {
		return err
	}
	shell, err := l.everything(ctx, dir, "bench-shell")
	if err != nil {
		return err
	}
	fetched, unpacked, err := l.fetched(ctx, dir+":bench-all")
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, s := range shell {
		has[s.Key] = true
	}
	fetched = withoutKeys(fetched, has)
	at, err := l.dir("artifacts")
	if err != nil {
		return err
	}
	artifacts, err := writeArtifacts(ctx, l.full(), fetched, at)
	if err != nil {
		return err
	}
	l.b.say("%d artifacts to unpack, %d steps", len(artifacts), unpacked)

	us := side{"hewn fetch, all artifacts there", func(int) (process, error) {
		st, err := l.dir("store-unpack")
		if err != nil {
			return process{}, err
		}
		all := func(done) bool { return true }
		if err := partStore(ctx, l.full(), st, append(shell[:len(shell):len(shell)], fetched...), all); err != nil {
			return process{}, err
		}
		return l.b.build(st, "--offline", "fetch", dir+":bench-all"), nil
	}}
	var parts parts
	var ours *series
	for range l.b.fives {
		p, err := us.next(0)
		if err != nil {
			return err
		}
		m, err := p.run(ctx)
		if err != nil {
			return err
		}
		l.b.say("%s: %s, cpu %s, %d MB", us.name, short(m.wall), short(m.cpu), m.rss>>20)
		if ours == nil {
			ours = &series{}
		}
		ours.add(m)
		into, err := l.dir("plain")
		if err != nil {
			return err
		}
		one, err := unpackParts(ctx, artifacts, into, 2*runtime.GOMAXPROCS(0))
		if err != nil {
			return err
		}
		l.b.say("parts: %s", one.String())
		parts.add(one)
	}
	return l.unpackRow(len(artifacts), ours, &parts)
}

// unpackRow adds the row.
func (l *locks) unpackRow(n int, us *series, p *parts) error {
	const limit = 1.5
	wall := median(us.walls).Seconds() / p.sum().Seconds()
	cpu := median(us.cpus).Seconds() / p.sumCPU().Seconds()
	l.b.table.add(row{fmt.Sprintf("unpacking all %d artifacts of the twin into the store", n), "1.50 x the sum of its parts", us.String() + "; " + p.String(),
		fmt.Sprintf("%s: %.2f x the sum (processor time %.2f x)", verdict(wall <= limit), wall, cpu), p.largest()})
	return nil
}

func withoutKeys(steps []done, not map[string]bool) (out []done) {
	for _, s := range steps {
		if !not[s.Key] {
			out = append(out, s)
		}
	}
	return out
}

// fetched gives what a target's artifacts are, and how many native steps are made of them without running anything else.
func (l *locks) fetched(ctx context.Context, ref string) (artifacts []done, natives int, err error) {
	cmd := exec.CommandContext(ctx, l.b.hewn, "--progress=json", "--offline", "fetch", ref)
	cmd.Env = append(os.Environ(), "HEWN_STORE="+l.full(), "HEWN_PARANOID=1") // it has to look at each step
	var events bytes.Buffer
	cmd.Stderr = &events
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(events.String()), "\n")
		return nil, 0, fmt.Errorf("%s: %w\n%s", ref, err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
	steps, err := stepsOf(events.Bytes())
	for _, s := range steps {
		switch {
		case s.Kind == "native":
			natives++
		case s.Kind == "fetch" && !s.Output.IsZero():
			artifacts = append(artifacts, s)
		}
	}
	return artifacts, natives, err
}

// writeArtifacts puts those artifacts that can be unpacked into files of their own.
func writeArtifacts(ctx context.Context, from string, fetched []done, at string) (paths []string, err error) {
	st, err := disk.Open(from)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	for i, s := range fetched {
		d, err := st.Directory(ctx, tree.Of(s.Output))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Label, err)
		}
		for _, f := range d.Files {
			if !isArchive(f.Name) {
				continue
			}
			to := filepath.Join(at, fmt.Sprintf("%d-%s", i, f.Name))
			if err := writeBlob(ctx, st, f, to); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Label, err)
			}
			paths = append(paths, to)
		}
	}
	return paths, nil
}

func writeBlob(ctx context.Context, st *disk.Store, f tree.File, to string) error {
	r, err := st.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	if e := w.Close(); err == nil {
		err = e
	}
	return err
}

// parts is the three parts of unpacking, a series each.
type parts [3]series

var partNames = [3]string{"decompression", "SHA-256", "creation of files"}

func (p *parts) add(o *parts) {
	for i := range p {
		p[i].walls, p[i].cpus = append(p[i].walls, o[i].walls...), append(p[i].cpus, o[i].cpus...)
	}
}

func (p *parts) sum() (d time.Duration) {
	for i := range p {
		d += median(p[i].walls)
	}
	return d
}

func (p *parts) sumCPU() (d time.Duration) {
	for i := range p {
		d += median(p[i].cpus)
	}
	return d
}

func (p *parts) String() string {
	var out []string
	for i := range p {
		out = append(out, fmt.Sprintf("%s %s (cpu %s)", partNames[i], short(median(p[i].walls)), short(median(p[i].cpus))))
	}
	return strings.Join(out, " + ") + fmt.Sprintf(" = %s (cpu %s)", short(p.sum()), short(p.sumCPU()))
}

// largest says which part takes most of the sum.
func (p *parts) largest() string {
	most := 0
	for i := range p {
		if median(p[i].walls) > median(p[most].walls) {
			most = i
		}
	}
	return fmt.Sprintf("%s, %.0f %% of the sum", partNames[most], 100*median(p[most].walls).Seconds()/p.sum().Seconds())
}
