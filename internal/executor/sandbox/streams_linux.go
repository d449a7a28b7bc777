package sandbox

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/executor"
)

// streams are the pipes between hewn and a process. The process never gets a file of hewn's own: a terminal could be
// written into, a file read on.
type streams struct {
	theirs, ours [3]*os.File
	merged       bool // stdout and stderr are one pipe, so that their order stays: what is read goes to Stdout
}

func (s *streams) open(p executor.Process) error {
	var err error
	if p.Stdin == nil {
		s.theirs[0], err = os.Open(os.DevNull)
	} else {
		s.theirs[0], s.ours[0], err = os.Pipe()
	}
	for i := 1; i < 3 && err == nil; i++ {
		if i == 2 && s.merged {
			s.theirs[2] = s.theirs[1]
			break
		}
		s.ours[i], s.theirs[i], err = os.Pipe()
	}
	if err != nil {
		s.closeOurs()
	}
	return err
}

func (s *streams) descriptors() []int {
	var fds []int
	for _, f := range s.theirs {
		if f != nil {
			fds = append(fds, int(f.Fd()))
		}
	}
	return fds
}

func (s *streams) closeTheirs() { closeFiles(s.theirs[:]) }
func (s *streams) closeOurs()   { closeFiles(s.ours[:]) }

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// copy moves bytes until the process has closed its ends. Nobody waits for stdin, whose reader may never return.
func (s *streams) copy(p executor.Process, output *sync.WaitGroup) {
	if s.ours[0] != nil {
		go func() {
			io.Copy(s.ours[0], p.Stdin)
			s.ours[0].Close()
		}()
	}
	for i, w := range []io.Writer{p.Stdout, p.Stderr} {
		r := s.ours[i+1]
		if r == nil {
			continue
		}
		if w == nil {
			w = io.Discard
		}
		output.Go(func() {
			defer r.Close()
			io.Copy(quiet{w}, r)
		})
	}
}

// attach joins the master of a process's terminal to the caller's.
func (r *running) attach(master int, tty executor.TTY) {
	resize := func(f *os.File) {
		if cols, rows, err := tty.Size(); err == nil {
			raw, err := f.SyscallConn()
			if err == nil {
				raw.Control(func(fd uintptr) {
					unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(cols)})
				})
			}
		}
	}
	unix.SetNonblock(master, true)
	f := os.NewFile(uintptr(master), "terminal")
	r.output.Go(func() {
		io.Copy(quiet{tty}, f) // ends with EIO when the process has closed its side
	})
	go func() {
		io.Copy(f, tty)
	}()
	go func() {
		defer f.Close()
		changed := tty.Resized()
		for {
			select {
			case <-r.ended:
				return
			case _, ok := <-changed:
				if !ok {
					changed = nil
				}
				resize(f)
			}
		}
	}()
}
