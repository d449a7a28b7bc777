//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// watch looks at a process and at everything that comes from it, from /proc.
type watch struct {
	pid  int
	quit chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	peak int64 // VmHWM of the process itself, which never falls: only the last moments can be missed
	cpu  time.Duration
	seen map[process]bool // the process's session, and its descendants
}

// process is one that no later process is mistaken for.
type process struct {
	pid   int
	start string // in ticks since boot
}

const clockTick = time.Second / 100 // USER_HZ, which is 100 everywhere

func watchProcess(pid int) *watch {
	w := &watch{pid: pid, quit: make(chan struct{}), seen: map[process]bool{}}
	w.done.Go(func() {
		// Often at first, since a run with nothing to do ends within milliseconds. The peak that the kernel reports at
		// the end is no use: a process inherits that of the one which started it.
		pause := time.Millisecond
		for n := 0; ; n++ {
			w.look(n > 50 && n%5 == 0)
			select {
			case <-w.quit:
				return
			case <-time.After(pause):
			}
			if n == 50 {
				pause = 50 * time.Millisecond
			}
		}
	})
	return w
}

// stop ends the watch and gives the peak of the process's memory and its processor time.
func (w *watch) stop() (int64, time.Duration) {
	close(w.quit)
	w.done.Wait()
	return w.peak, w.cpu
}

// now gives the peak so far, and how many processes were seen.
func (w *watch) now() (int64, time.Duration, int) {
	w.look(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak, w.cpu, len(w.seen)
}

func (w *watch) look(all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := fmt.Sprintf("/proc/%d/", w.pid)
	if b, err := os.ReadFile(dir + "status"); err == nil {
		for l := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
				w.peak = max(w.peak, kb<<10)
			}
		}
	}
	if s, ok := stat(w.pid); ok {
		w.cpu = max(w.cpu, s.cpu)
	}
	if !all {
		return
	}
	stats := allProcesses()
	ours := map[int]bool{w.pid: true}
	for grown := true; grown; {
		grown = false
		for pid, s := range stats {
			if !ours[pid] && (ours[s.parent] || s.session == w.pid) {
				ours[pid], grown = true, true
			}
		}
	}
	for pid := range ours {
		if s, ok := stats[pid]; ok {
			w.seen[process{pid, s.start}] = true
		}
	}
}

// left gives what still lives of all that was seen, once it had time to end: the kernel takes a pid namespace down a
// moment after its first process.
func (w *watch) left(grace time.Duration) []string {
	for end := time.Now().Add(grace); ; time.Sleep(50 * time.Millisecond) {
		var out []string
		for pid, s := range allProcesses() {
			if (w.seen[process{pid, s.start}] || s.session == w.pid) && s.state != "Z" && s.state != "X" {
				out = append(out, fmt.Sprintf("%d %s", pid, s.name))
			}
		}
		if len(out) == 0 || time.Now().After(end) {
			return out
		}
	}
}

// stats is what /proc/PID/stat says.
type stats struct {
	name, state, start string
	parent, session    int
	cpu                time.Duration
}

func allProcesses() map[int]stats {
	out := map[int]stats{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, ok := stat(pid); ok {
				out[pid] = s
			}
		}
	}
	return out
}

func stat(pid int) (stats, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	open, end := strings.IndexByte(string(b), '('), strings.LastIndexByte(string(b), ')')
	if err != nil || open < 0 || end < open {
		return stats{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return stats{}, false
	}
	num := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
	return stats{name: string(b[open+1 : end]), state: f[0], parent: num(1), session: num(3),
		cpu: time.Duration(num(11)+num(12)) * clockTick, start: f[19]}, true
}
