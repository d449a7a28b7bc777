package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"hewn.example/hewn/internal/store"
)

const (
	// answerLimit is how much of an answer is read. Registries answer pushes with a few hundred bytes.
	answerLimit = 64 << 10
	// tries is how often something is tried without any progress: with pauses of 0.25, 0.5, 1 and 2 s, long enough for a
	// registry behind a balancer to restart.
	tries = 5
	// longestWait is how long a push waits because a registry says so.
	longestWait = time.Minute
	// stall is how long a request may stand still: no byte taken, no answer begun. A registry that gathers the chunks of
	// a large blob in an object store answers late.
	stall = 2 * time.Minute
	// mostErrors is how many of the errors in one answer are kept: a manifest may lack every one of its blobs.
	mostErrors = 8
	// asked is how many questions (HEAD) are under way at once.
	asked = 16
)

var (
	errStalled    = errors.New("the registry stood still for two minutes")
	errNoLocation = errors.New("the registry does not say where to upload to")
)

// push is the state of one Push.
type push struct {
	c      Config
	store  store.Blobs
	to     Reference
	client *http.Client
	plain  *http.Transport
	auth   *authorized
	origin string   // where the credentials come from; empty: there were none
	root   *url.URL // https://registry/v2/repository/
	mounts []string
}

func newPush(c Config, s store.Blobs, to Reference) *push {
	if c.ChunkSize <= 0 {
		c.ChunkSize = DefaultChunk
	}
	if c.Parallel <= 0 {
		c.Parallel = 4
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	if c.Jitter == nil {
		c.Jitter = func() float64 { return 0.5 }
	}
	t := &http.Transport{TLSHandshakeTimeout: 20 * time.Second, IdleConnTimeout: time.Minute}
	if c.Transport != nil {
		t = c.Transport.Clone()
	}
	t.MaxIdleConnsPerHost = asked + c.Parallel
	t.ForceAttemptHTTP2 = true
	t.ResponseHeaderTimeout = 0 // the watch of send does it
	t.WriteBufferSize = 128 << 10
	return &push{c: c, store: s, to: to, plain: t}
}

func (p *push) close() {
	if p.auth != nil {
		p.auth.close()
	}
	p.plain.CloseIdleConnections()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connect finds credentials, and does what the registry asks for before it talks.
func (p *push) connect(ctx context.Context) error {
	repo := p.to.ref.Context()
	host := p.to.Registry()
	auth := authn.Anonymous
	if p.c.Keychain != nil {
		var err error
		if auth, err = p.c.Keychain.ResolveContext(ctx, repo); err != nil {
			return err
		}
	}
	p.origin = originOf(auth)
	if p.origin == "" && auth != authn.Anonymous {
		p.origin = "the configured keychain"
	}
	opts := []name.Option{}
	if plainAllowed(host, p.c.PlainHTTP) {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(host, opts...)
	if err != nil {
		return err
	}
	base := &guard{base: p.plain, plain: p.c.PlainHTTP}
	err = p.retry(ctx, func() error {
		if p.auth, err = connectTo(ctx, base, reg, auth); errors.Is(err, syscall.ECONNREFUSED) {
			return final{err} // nothing is lost yet that is worth waiting for
		}
		return base.delayed(fromGGCR(err))
	})
	if err != nil {
		return err
	}
	p.root = &url.URL{Scheme: p.auth.scheme(), Host: host, Path: "/v2/" + p.to.Repository() + "/"}
	p.client = &http.Client{Transport: p.auth, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		switch {
		case via[0].Method == http.MethodHead: // it has what it points to, and the address may be good for GET alone
			return http.ErrUseLastResponse
		case len(via) >= 5:
			return errors.New("it redirects more than five times")
		}
		return nil
	}}
	return p.firstToken(ctx, repo)
}

// firstToken asks for a token that allows the push and the mounts, or the push alone where that is refused.
func (p *push) firstToken(ctx context.Context, repo name.Repository) error {
	own := repo.Scope(transport.PushScope)
	p.auth.scopes = []string{own}
	for _, from := range p.c.MountFrom {
		if r, err := name.NewRepository(p.to.Registry() + "/" + from); err == nil && r.RepositoryStr() != p.to.Repository() {
			p.mounts = append(p.mounts, r.RepositoryStr())
			p.auth.scopes = append(p.auth.scopes, r.Scope(transport.PullScope))
		}
	}
	get := func() error {
		return p.retry(ctx, func() error {
			_, err := p.auth.header(ctx, "")
			return p.auth.base.delayed(fromGGCR(err))
		})
	}
	err := get()
	var st *statusError
	if errors.As(err, &st) && len(p.mounts) > 0 {
		p.mounts, p.auth.scopes = nil, []string{own}
		err = get()
	}
	return err
}

// at is an address below the repository.
func (p *push) at(path string) *url.URL {
	u := *p.root
	u.Path += path
	return &u
}

// request is one request to the registry.
type request struct {
	method string
	url    *url.URL
	header http.Header
	small  []byte                         // the body, where it is in memory
	body   func() (io.ReadCloser, error)  // the body, where it comes from the store
	size   int64                          // of the body
	sent   *atomic.Int64                  // counts bytes of the body
	told   func()                         // is called after bytes were sent
	want   func(status int) (accept bool) // answers that are no error
}

// answer is what the registry said.
type answer struct {
	status int
	header http.Header
	url    *url.URL // of the request, after redirects
}

func status(codes ...int) func(int) bool {
	return func(s int) bool {
		for _, c := range codes {
			if s == c {
				return true
			}
		}
		return false
	}
}

// send makes one request and reads the answer. It ends a request that stands still.
func (p *push) send(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, err
	}
	body := r.body
	if body == nil && r.small != nil {
		r.size = int64(len(r.small))
		body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.small)), nil }
	}
	if body != nil && r.size > 0 {
		req.GetBody = func() (io.ReadCloser, error) {
			rc, err := body()
			if err != nil {
				return nil, err
			}
			return &counted{ReadCloser: rc, n: r.sent, tell: func() {
				watch.Reset(stall)
				if r.told != nil {
					r.told()
				}
			}}, nil
		}
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		req.ContentLength = r.size
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "hewn")
	resp, err := p.client.Do(req)
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			return nil, fmt.Errorf("%s: %w", r.url.Host, errStalled)
		}
		var ue *url.Error
		if errors.As(err, &ue) { // its text has the whole address, and parts of that may be secret
			err = fmt.Errorf("%s %s: %w", r.method, oneLine(r.url.EscapedPath()), ue.Err)
		}
		return nil, fromGGCR(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if !r.want(resp.StatusCode) {
		return nil, newStatusError(r.method, r.url, resp, text)
	}
	return &answer{resp.StatusCode, resp.Header, resp.Request.URL}, err
}

// final marks an error that a further try would give again.
type final struct{ error }

// Unwrap gives the error.
func (f final) Unwrap() error { return f.error }

// counted counts what is read from a body, and tells of it.
type counted struct {
	io.ReadCloser
	n    *atomic.Int64
	tell func()
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if c.n != nil {
		c.n.Add(int64(n))
	}
	c.tell()
	return n, err
}

// statusError is an answer that is no success.
type statusError struct {
	method, path string
	status       int
	codes        []string // the registry's own error codes, such as MANIFEST_BLOB_UNKNOWN
	messages     []string // what it says besides
	after        time.Duration
	html         bool // it is a page for people: no registry answers so
}

// Error gives the registry's own words.
func (e *statusError) Error() string {
	s := fmt.Sprintf("it answered %d %s to %s %s", e.status, http.StatusText(e.status), e.method, e.path)
	if len(e.messages) > 0 {
		s += ": " + strings.Join(e.messages, "; ")
	}
	return s
}

// says that the registry gave the error code.
func (e *statusError) says(code string) bool {
	for _, c := range e.codes {
		if c == code {
			return true
		}
	}
	return false
}

func (e *statusError) temporary() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return e.status >= 500 || e.says("TOOMANYREQUESTS")
}

func newStatusError(method string, u *url.URL, resp *http.Response, text []byte) *statusError {
	e := &statusError{method: method, path: oneLine(u.EscapedPath()), status: resp.StatusCode, after: retryAfter(resp.Header)}
	e.html = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
	var said struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(text, &said) == nil {
		for _, x := range said.Errors[:min(len(said.Errors), mostErrors)] {
			e.codes = append(e.codes, x.Code)
			m := x.Code + ": " + x.Message
			var detail string // what is no text is for programs
			if json.Unmarshal(x.Detail, &detail) == nil && detail != "" {
				m += " (" + detail + ")"
			}
			e.messages = append(e.messages, oneLine(m))
		}
	} else if len(text) > 0 && !e.html {
		e.messages = []string{oneLine(string(text))}
	}
	return e
}

// oneLine makes what a registry says fit for a message: its length and its control characters are the registry's choice.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// retryAfter reads Retry-After, as seconds or as a date, which is taken against the registry's own clock.
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return min(time.Duration(n), 1e6) * time.Second
	}
	at, err := http.ParseTime(v)
	now, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil || at.Before(now) {
		return 0
	}
	return at.Sub(now)
}

// fromGGCR turns an answer that ggcr met into ours, so that there is one type to ask.
func fromGGCR(err error) error {
	var t *transport.Error
	var cert *tls.CertificateVerificationError // says more than what the same port answered to plain HTTP
	if !errors.As(err, &t) || errors.As(err, &cert) {
		return err
	}
	e := &statusError{status: t.StatusCode}
	if t.Request != nil {
		e.method, e.path = t.Request.Method, t.Request.URL.Path
	}
	for _, d := range t.Errors {
		e.codes = append(e.codes, string(d.Code))
		e.messages = append(e.messages, oneLine(string(d.Code)+": "+d.Message))
	}
	return e
}

// retry calls f until it succeeds, fails for good, or has failed too often.
func (p *push) retry(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		if err := p.wait(ctx, try, err); err != nil {
			return err
		}
	}
}

// wait waits before the next try after err, or gives err back where there is none.
func (p *push) wait(ctx context.Context, try int, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !temporary(err) || try >= tries {
		return err
	}
	d := 250 * time.Millisecond << (try - 1)
	d += time.Duration((p.c.Jitter() - 0.5) * float64(d))
	var st *statusError
	if errors.As(err, &st) && st.after > d {
		if st.after > longestWait {
			return err
		}
		d = st.after
	}
	return p.c.Pause(ctx, d)
}
