package sandbox

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// watch sums the memory of a job's processes every watchEvery and ends the job that goes over its limits. The function
// that it returns ends the watching, and waits until it has ended.
//
// Pages that processes share are counted for each of them, as the machine has no cheaper sum; a limit is a guard against
// an action that eats the machine, no accounting. RLIMIT_AS would break Node, Go and the JVM, which reserve far more
// than they use.
func (j *job) watch(first int) (stop func()) {
	most := limits{Memory: j.proc.Memory, Processes: j.proc.Processes}
	quit, done := make(chan struct{}), make(chan struct{})
	timer := time.AfterFunc(watchEvery, func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			u := usage(first)
			if j.session != nil {
				j.session.account(j, u)
			} else if j.saw(u); most.brokenBy(u) != "" {
				j.kill(most.brokenBy(u))
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(quit)
		if !timer.Stop() {
			<-done
		}
	}
}

// used is what processes use.
type used struct {
	rss   int64 // resident memory in bytes
	count int   // processes
}

// brokenBy names the limit that u is over, as Outcome.Killed does; empty for none.
func (l limits) brokenBy(u used) string {
	switch {
	case l.Memory > 0 && u.rss > l.Memory:
		return "memory"
	case l.Processes > 0 && u.count > l.Processes:
		return "processes"
	}
	return ""
}

// saw notes what the job, or the session that it belongs to, used at some moment.
func (j *job) saw(u used) {
	j.mu.Lock()
	j.peak = max(j.peak, u.rss)
	j.mu.Unlock()
}

// account notes what a job of the session uses, and ends all of them if together they are over the session's limits.
func (se *session) account(j *job, u used) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if _, ok := se.jobs[j]; !ok {
		return
	}
	se.jobs[j] = u
	var sum used
	for _, u := range se.jobs {
		sum.rss += u.rss
		sum.count += u.count
	}
	if why := se.limits.brokenBy(sum); why != "" && se.killed == "" {
		se.killed = why
	}
	for other := range se.jobs {
		other.saw(sum)
		if se.killed != "" {
			other.kill(se.killed)
		}
	}
}

// usage gives what all descendants of a process use. Whoever lost its parent has become a child of the first process, so
// that descending finds all.
func usage(first int) (u used) {
	page := int64(os.Getpagesize())
	queue := childrenOf(nil, first)
	for len(queue) > 0 {
		pid := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		u.count++
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm"); err == nil {
			if f := bytes.Fields(b); len(f) > 1 {
				n, _ := strconv.ParseInt(string(f[1]), 10, 64)
				u.rss += n * page
			}
		}
		queue = childrenOf(queue, pid)
	}
	return u
}

func childrenOf(list []int, pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return list
	}
	for _, t := range tasks {
		b, err := os.ReadFile(dir + "/" + t.Name() + "/children")
		if err != nil {
			continue
		}
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
