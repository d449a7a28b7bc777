package engine

import "sync"

// pool runs functions in the order in which they come, at most limit at once. What waits is a value in a queue and not
// a goroutine, so that ten thousand steps that are ready at once cost ten thousand words. A function must not wait for
// another one of the same pool.
type pool struct {
	limit int

	mu      sync.Mutex
	running int
	queue   []func()
	head    int // queue[:head] has been taken
}

// run calls f in a goroutine of the pool, at once or later.
func (p *pool) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.limit {
		p.running++
		go p.work(f)
		return
	}
	p.queue = append(p.queue, f)
}

func (p *pool) work(f func()) {
	for f != nil {
		f()
		f = p.next()
	}
}

// next takes the function that has waited longest; nil ends the goroutine.
func (p *pool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.queue) {
		p.queue, p.head = nil, 0
		p.running--
		return nil
	}
	f := p.queue[p.head]
	p.queue[p.head] = nil
	p.head++
	return f
}

// flights sees to it that what has one key goes on once at a time within the process.
type flights struct {
	mu      sync.Mutex
	waiting map[string][]func()
}

// join makes the caller the one who does the work for key, who must call land afterwards; or else keeps again, which is
// called when the one who does it is through, however it went.
func (f *flights) join(key string, again func()) (mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = map[string][]func(){}
	}
	list, busy := f.waiting[key]
	if busy {
		f.waiting[key] = append(list, again)
		return false
	}
	f.waiting[key] = nil
	return true
}

// land ends what join began.
func (f *flights) land(key string) {
	f.mu.Lock()
	list := f.waiting[key]
	delete(f.waiting, key)
	f.mu.Unlock()
	for _, again := range list {
		again()
	}
}
