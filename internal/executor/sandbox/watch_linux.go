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
	quit, done := make(chan struct{}), make(chan struct{})
	timer := time.AfterFunc(watchEvery, func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			rss, count := usage(first)
			j.mu.Lock()
			j.peak = max(j.peak, rss)
			j.mu.Unlock()
			switch {
			case j.proc.Memory > 0 && rss > j.proc.Memory:
				j.kill("memory")
			case j.proc.Processes > 0 && count > j.proc.Processes:
				j.kill("processes")
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

// usage gives the resident memory of all descendants of a process, and their number. Whoever lost its parent has become
// a child of the first process, so that descending finds all.
func usage(first int) (rss int64, count int) {
	page := int64(os.Getpagesize())
	queue := childrenOf(nil, first)
	for len(queue) > 0 {
		pid := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		count++
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm"); err == nil {
			if f := bytes.Fields(b); len(f) > 1 {
				n, _ := strconv.ParseInt(string(f[1]), 10, 64)
				rss += n * page
			}
		}
		queue = childrenOf(queue, pid)
	}
	return rss, count
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
