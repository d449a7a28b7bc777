package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a command line to be measured.
type process struct {
	args []string
	env  []string
	dir  string
	rss  bool // it is the resident set that matters
}

// A process counts as large as the one that started it was before exec: where the resident set matters, this program is
// started again, as small as it begins, with wrap as its first argument and the command line behind it.
const wrap = "resident"

// resident runs a command line and prints how large it became, in kilobytes, as the last line.
func resident(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("\n%d\n", cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return cmd.ProcessState.ExitCode()
}

// measured is one run: the time until it ended, the processor time of it and of all that it waited for, and the resident
// set of the largest of these processes, which is a compiler where one ran.
type measured struct {
	wall, cpu time.Duration
	rss       int64 // bytes
	files     int64 // that the mirror served meanwhile, where there is one
	served    int64 // bytes of them
	out       string
}

func (p process) run(ctx context.Context) (measured, error) {
	args := p.args
	if p.rss {
		self, err := os.Executable()
		if err != nil {
			return measured{}, err
		}
		args = append([]string{self, wrap}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Dir = p.env, p.dir
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	begin := time.Now()
	err := cmd.Run()
	m := measured{wall: time.Since(begin), out: out.String()}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(text.String()+out.String()), "\n")
		return m, fmt.Errorf("%s: %w\n%s", strings.Join(p.args, " "), err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	m.rss = use.Maxrss << 10
	if p.rss {
		lines := strings.Split(strings.TrimSpace(m.out), "\n")
		kb, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
		if err != nil {
			return m, err
		}
		m.rss = kb << 10
	}
	return m, nil
}

// series is what came of several runs of one thing.
type series struct {
	walls, cpus   []time.Duration
	rss           int64
	files, served int64
}

func (s *series) add(m measured) {
	s.walls, s.cpus, s.rss = append(s.walls, m.wall), append(s.cpus, m.cpu), max(s.rss, m.rss)
	s.files, s.served = m.files, m.served // the same each time
}

func (s *series) String() string {
	return fmt.Sprintf("%s (cpu %s, %d MB)", short(median(s.walls)), short(median(s.cpus)), s.rss>>20)
}

func (b *bench) repeat(ctx context.Context, n int, p process) (*series, error) {
	s := &series{}
	for range n {
		m, err := p.run(ctx)
		if err != nil {
			return nil, err
		}
		b.say("%s: %s, cpu %s", strings.Join(p.args, " "), short(m.wall), short(m.cpu))
		s.add(m)
	}
	return s, nil
}

func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
