package disk

import (
	"os"
	"sync"
	"time"
)

// syncer makes what was written durable in the background, so that after a power failure little has to be looked at.
// Nobody waits for it: results are served at once, and compared after such a failure (recover.go).
type syncer struct {
	path  string
	lease *os.File
	temp  *temp

	once sync.Once
	done chan struct{}
	idle sync.WaitGroup
}

// syncEvery is how often a process that writes syncs the file system: the amount that has to be hashed after a power
// failure is what a machine writes in that time.
const syncEvery = 10 * time.Second

func (y *syncer) init(s *Store) {
	y.path, y.lease, y.temp, y.done = s.path("synced"), s.lease, &s.temp, make(chan struct{})
}

// wrote says that something is being written; the first call starts the work.
func (y *syncer) wrote() {
	y.once.Do(func() {
		y.idle.Go(func() {
			tick := time.NewTicker(syncEvery)
			defer tick.Stop()
			for {
				select {
				case <-y.done:
					return
				case <-tick.C:
					_ = y.sync()
				}
			}
		})
	})
}

// sync makes all that was written until now durable and notes the time. The note is made by the file system's own
// clock, with which times of files are compared.
func (y *syncer) sync() error {
	tmp, err := y.temp.file()
	if err != nil {
		return err
	}
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("all that was written before this file's time is durable\n"); err != nil {
		return err
	}
	if err := syncFS(y.lease); err != nil {
		return err
	}
	return os.Rename(tmp, y.path)
}

func (y *syncer) stop() {
	close(y.done)
	y.idle.Wait()
}
