//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// island is a network namespace with nothing but loopback, so that ports are those of the image's contract whatever else
// runs on the machine. It lives as long as its thread.
type island struct {
	path  string // what an OCI runtime joins
	dials chan dial
}

type dial struct {
	addr string
	done func(net.Conn, error)
}

func newIsland(t *testing.T) *island {
	t.Helper()
	i := &island{dials: make(chan dial)}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ready <- i.enter()
		for d := range i.dials {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			d.done((&net.Dialer{}).DialContext(ctx, "tcp4", d.addr))
			cancel()
		}
	}()
	must(t, <-ready)
	t.Cleanup(func() { close(i.dials) })
	return i
}

// enter puts the calling thread into a new network namespace and brings its loopback up.
func (i *island) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare the network: %w", err)
	}
	i.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// dial connects to an address in the island: a socket belongs to the namespace of the thread that makes it.
func (i *island) dial(addr string) (net.Conn, error) {
	type result struct {
		c   net.Conn
		err error
	}
	got := make(chan result)
	i.dials <- dial{addr, func(c net.Conn, err error) { got <- result{c, err} }}
	r := <-got
	return r.c, r.err
}

// forward makes a port of the island reachable from here, and gives its address.
func (i *island) forward(t *testing.T, port string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	stop := make(chan struct{})
	accepted := make(chan struct{})
	t.Cleanup(func() { close(stop); l.Close(); <-accepted })
	go func() {
		defer close(accepted)
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := i.dial("127.0.0.1:" + port)
			if err != nil {
				here.Close()
				continue
			}
			go join(here, there, stop)
		}
	}()
	return l.Addr().String()
}

func join(a, b net.Conn, stop <-chan struct{}) {
	defer a.Close()
	defer b.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	select {
	case <-done:
	case <-stop:
	}
}
