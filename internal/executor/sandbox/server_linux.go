package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// serverName is the name under which hewn starts itself as the sandbox's server.
const serverName = "hewn-sandbox"

// controlFD is where the server finds the main socket.
const controlFD = 3

// serverConfig is the first thing that the server is told. It does not stand in its arguments: they are those of the first
// process of every action too, and can be read there.
type serverConfig struct {
	Scratch string   `json:"scratch"` // an empty directory of the host
	Roots   []string `json:"roots"`   // directories of the host that will be needed
}

// ServerMain makes this process the sandbox's server if it was started as one, and then never returns. It must be the
// first call in main, and in TestMain of tests that run actions; args is os.Args. It gives false in any other process.
func ServerMain(args []string) bool {
	if len(args) != 1 || args[0] != serverName {
		return false
	}
	runtime.LockOSThread()
	// What hewn was started with is nobody's business inside; whatever is opened from here on says so by itself.
	unix.CloseRange(controlFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	c, err := newWire(controlFD)
	if err != nil {
		os.Exit(3)
	}
	// First processes share this process's memory and the user of the actions: nobody else may look into it.
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	var conf serverConfig
	if _, err := receive(c, &conf); err != nil {
		os.Exit(3)
	}
	s, err := newServer(conf)
	hello := &reply{}
	if err != nil {
		stage := stageNamespace
		if pe := (*procError)(nil); errors.As(err, &pe) {
			stage = stageProc
		}
		hello.fail(stage, err)
	}
	if send(c, hello) != nil || err != nil {
		os.Exit(3)
	}
	go s.serve(c)
	s.base.serveHost()
	return true
}

// server is the state of the process that ServerMain is.
type server struct {
	base     *base
	sessions sessions
}

func newServer(conf serverConfig) (*server, error) {
	os.Clearenv()
	b, err := newBase(conf.Scratch)
	if err != nil {
		return nil, err
	}
	go func() {
		for _, dir := range conf.Roots {
			b.path(dir, dir) // an error comes back when it is used
		}
	}()
	return &server{base: b}, nil
}

// serve takes requests until hewn closes the socket or dies; then the server exits. It is pid 1 of its pid namespace:
// the kernel kills everything that it ever started.
func (s *server) serve(c *wire) {
	for {
		var rq request
		files, err := receive(c, &rq)
		if err != nil || len(files) == 0 {
			os.Exit(0)
		}
		own, err := newWire(files[0])
		if err != nil {
			closeAll(files[1:])
			continue
		}
		go s.handle(&rq, own, files[1:])
	}
}

// handle does one request. files belong to it.
func (s *server) handle(rq *request, own *wire, files []int) {
	defer own.close()
	switch rq.Op {
	case opRun:
		s.run(rq, own, files)
	default:
		s.sessions.handle(s, rq, own, files)
	}
}

// run runs one action; files holds its standard streams' other ends: the log, which is stdout and stderr.
func (s *server) run(rq *request, own *wire, files []int) {
	j, err := s.newJob(rq, files, 1)
	if err != nil {
		send(own, (&reply{}).fail(stageChild, err))
		return
	}
	places, err := s.base.locate(rq.Root)
	if err != nil {
		closeAll(j.stdio[:])
		send(own, (&reply{}).fail(stageRoot, err))
		return
	}
	go j.obey(own)
	var l *launched
	var stage string
	s.base.work(func() { l, stage, err = j.launchAction(places) })
	if err != nil {
		send(own, (&reply{}).fail(stage, err))
		return
	}
	j.finish(l, nil, func(r *reply) {
		if l.upper < 0 {
			send(own, r)
			return
		}
		send(own, r, l.upper)
		unix.Close(l.upper)
	})
}

// newJob makes a job of a request. want is how many files must have come: 1 for a log, 3 for stdin, stdout and stderr.
func (s *server) newJob(rq *request, files []int, want int) (*job, error) {
	if rq.Proc == nil || len(files) != want {
		closeAll(files)
		return nil, fmt.Errorf("a request with %d files", len(files))
	}
	j := &job{base: s.base, root: rq.Root, proc: rq.Proc}
	if want == 3 {
		j.stdio = [3]int(files)
		return j, nil
	}
	null, err := unix.Open(filepath.Join("/dev", "null"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		closeAll(files)
		return nil, err
	}
	second, err := unix.FcntlInt(uintptr(files[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(null)
		closeAll(files)
		return nil, err
	}
	j.stdio = [3]int{null, files[0], second}
	return j, nil
}

// obey carries out what hewn says about a running job, and ends the job when hewn closes the socket.
func (j *job) obey(own *wire) {
	for {
		var c control
		if _, err := receive(own, &c); err != nil {
			j.kill("")
			return
		}
		if c.Signal > 0 {
			j.signal(c.Signal)
		}
	}
}
