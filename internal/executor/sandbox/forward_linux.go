package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connectTimeout bounds the connecting to a service inside, which is on the same machine.
const connectTimeout = 10 * time.Second

// Forward serves a listener of the host. The server gives sockets of the session's network, which hewn connects: a
// socket stays in the network in which it was made, whoever uses it. Forward returns at once; it serves until l is
// closed, which the end of the session does.
func (se *clientSession) Forward(ctx context.Context, l net.Listener, addr string) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("sandbox: cannot forward to `%s`: %w", addr, err)
	}
	se.mu.Lock()
	defer se.mu.Unlock()
	if se.closed {
		return errClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		<-se.done
		cancel(errClosed)
	}()
	go func() {
		defer cancel(nil)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go se.join(ctx, c, to)
		}
	}()
	return nil
}

// halfCloser is a connection of which one direction can be ended.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// join moves bytes between a connection of the host and a new one inside, until both directions have ended.
func (se *clientSession) join(ctx context.Context, outside net.Conn, to netip.AddrPort) {
	defer outside.Close()
	inside, err := se.dial(to)
	if err != nil {
		return // the client sees its connection closed, as of a service that is not up
	}
	defer inside.Close()
	stop := context.AfterFunc(ctx, func() {
		outside.Close()
		inside.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(inside, outside)
		inside.CloseWrite()
	}()
	io.Copy(outside, inside)
	if h, ok := outside.(halfCloser); ok {
		h.CloseWrite()
	}
	<-done
}

// dial connects to an address of the session's network.
func (se *clientSession) dial(to netip.AddrPort) (halfCloser, error) {
	r, files, err := se.ask(&request{Op: opSocket, Session: se.id})
	if err != nil {
		return nil, err
	}
	if r.Err != "" {
		closeAll(files)
		return nil, errors.New(r.Err)
	}
	want, fd := 0, -1
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(to.Port()), Addr: [4]byte{}}
	if to.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		want, sa = 1, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	i := 0
	for family := range 2 {
		if r.Status>>family&1 == 0 || i >= len(files) {
			continue
		}
		if family == want {
			fd = files[i]
		} else {
			unix.Close(files[i])
		}
		i++
	}
	if fd < 0 {
		return nil, unix.EAFNOSUPPORT
	}
	return connect(fd, sa)
}

// connect connects a non-blocking socket and takes it over.
func connect(fd int, sa unix.Sockaddr) (halfCloser, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn works on a duplicate
	err := unix.Connect(fd, sa)
	if errors.Is(err, unix.EINPROGRESS) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		var n int
		if n, err = unix.Poll(fds, int(connectTimeout.Milliseconds())); err == nil && n == 0 {
			err = unix.ETIMEDOUT
		}
		if err == nil {
			var code int
			if code, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
				err = unix.Errno(code)
			}
		}
	}
	if err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	h, ok := c.(halfCloser)
	if !ok {
		c.Close()
		return nil, errors.New("not a stream socket")
	}
	return h, nil
}
