package service

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"hewn.example/hewn/internal/event"
)

// httpProbe gives a function that asks an address inside the session. It goes through a listener of its own on the
// host's loopback, which the session joins to the address.
func (r *Running) httpProbe(ctx context.Context, inside string) (probe func(context.Context) bool, stop func(), err error) {
	u, err := url.Parse(inside)
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	if err := r.session.Forward(ctx, l, u.Host); err != nil {
		l.Close()
		return nil, nil, err
	}
	u.Host = l.Addr().String()
	client := &http.Client{
		Timeout:       5 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		return resp.StatusCode >= 200 && resp.StatusCode < 300
	}, func() { l.Close() }, nil
}

// lines turns a service's output into events, one a line, and remembers the last ones for a failure.
type lines struct {
	service string
	events  event.Sink

	mu   sync.Mutex
	rest []byte
	last []string
}

// The last lines that are kept, and the longest line: what is longer is told in pieces.
const (
	keepLines = 30
	maxLine   = 64 << 10
)

// Write never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		next := i + 1
		if i < 0 {
			i, next = maxLine, maxLine
		}
		l.tell(string(bytes.TrimRight(l.rest[:i], "\r")))
		l.rest = append(l.rest[:0], l.rest[next:]...)
	}
}

func (l *lines) tell(text string) {
	l.events.Emit(event.ServiceLine{Service: l.service, Text: text})
	if l.last = append(l.last, text); len(l.last) > keepLines {
		l.last = l.last[1:]
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.tell(string(l.rest))
		l.rest = nil
	}
}

func (l *lines) tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.last...)
}
