package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"hewn.example/hewn/internal/origin"
)

// Client reads over HTTP, and from files for origins on this machine. It is the Getter of everything.
type Client struct {
	HTTP    *http.Client
	Offline bool
	// Credentials gives what is kept for a host elsewhere (netrc); it may be nil.
	Credentials func(host string) (user, pass string)
	// Pause waits between tries; nil means time. Tests pass something quicker.
	Pause func(ctx context.Context, d time.Duration) error
}

// tries is how often a request is made before its origin counts as broken: with pauses of 0.5, 1, 2 and 4 s, long
// enough for a proxy to restart.
const tries = 5

// ErrOffline is wrapped by every error that says that `--offline` forbids a download.
var ErrOffline = errors.New("`--offline` forbids it")

// statusError is an answer that is no success.
type statusError struct {
	url    string
	status int
	after  time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", redact(e.url), e.status, http.StatusText(e.status))
}

func (e *statusError) Is(target error) bool {
	return target == ErrGone && (e.status == http.StatusNotFound || e.status == http.StatusGone)
}

func (e *statusError) temporary() bool {
	return e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= 500
}

// redact takes credentials and the query out of an address, so that it can be shown and logged.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// Get reads a small document.
func (c *Client) Get(ctx context.Context, e origin.Endpoint, rawURL, accept string, limit int64) ([]byte, error) {
	var out []byte
	err := c.retry(ctx, func() error {
		body, _, err := c.open(ctx, e, rawURL, accept, 0, "")
		if err != nil {
			return err
		}
		defer body.Close()
		out, err = io.ReadAll(io.LimitReader(body, limit+1))
		if err == nil && int64(len(out)) > limit {
			err = permanent{fmt.Errorf("%s is larger than %d bytes", redact(rawURL), limit)}
		}
		return err
	})
	return out, err
}

// Open streams a large document; where the connection breaks, the rest is asked for.
func (c *Client) Open(ctx context.Context, e origin.Endpoint, rawURL string) (io.ReadCloser, error) {
	r := &resumer{c: c, ctx: ctx, e: e, url: rawURL}
	if err := c.retry(ctx, r.connect); err != nil {
		return nil, err
	}
	return r, nil
}

// permanent marks an error that a further try would give again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func (c *Client) retry(ctx context.Context, f func() error) error {
	pause := 500 * time.Millisecond
	for try := 1; ; try++ {
		err := f()
		var perm permanent
		var st *statusError
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case errors.As(err, &perm):
			return perm.error
		case errors.As(err, &st) && !st.temporary(), errors.Is(err, ErrOffline), try == tries:
			return err
		}
		wait := pause
		if st != nil && st.after > wait {
			wait = min(st.after, 30*time.Second)
		}
		if err := c.wait(ctx, wait); err != nil {
			return err
		}
		pause *= 2
	}
}

func (c *Client) wait(ctx context.Context, d time.Duration) error {
	if c.Pause != nil {
		return c.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open makes one request from offset on. etag, if not empty, must still be the document's.
func (c *Client) open(ctx context.Context, e origin.Endpoint, rawURL, accept string, offset int64, etag string) (io.ReadCloser, *http.Response, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, nil, permanent{err}
	}
	if u.Scheme == "file" {
		return openFile(u, offset)
	}
	if c.Offline {
		return nil, nil, permanent{fmt.Errorf("%s cannot be read: %w", redact(rawURL), ErrOffline)}
	}
	if strings.HasSuffix(strings.ToLower(u.Hostname()), ".example") {
		return nil, nil, permanent{fmt.Errorf("%s is an identity, not an address: hosts under .example are never dialled", redact(rawURL))}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, nil, permanent{err}
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	req.Header.Set("User-Agent", "hewn")
	if offset > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		if etag != "" {
			req.Header.Set("If-Range", etag)
		}
	}
	c.authorize(req, e)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, nil, err
	}
	ok := resp.StatusCode == http.StatusOK || (offset > 0 && resp.StatusCode == http.StatusPartialContent)
	if !ok {
		resp.Body.Close()
		secs, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, nil, &statusError{url: rawURL, status: resp.StatusCode, after: time.Duration(secs) * time.Second}
	}
	if offset > 0 && resp.StatusCode == http.StatusOK {
		// The origin ignores ranges, or the document changed: skip what is there already; a changed document is found out
		// by its integrity.
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			resp.Body.Close()
			return nil, nil, err
		}
	}
	return resp.Body, resp, nil
}

// authorize adds the endpoint's credentials, but only for the endpoint's own host: index and file hosts differ, and a
// secret must not travel to another.
func (c *Client) authorize(req *http.Request, e origin.Endpoint) {
	if eu, err := url.Parse(e.URL); err == nil && eu.Host == req.URL.Host {
		switch {
		case e.Token != "":
			req.Header.Set("Authorization", "Bearer "+e.Token)
			return
		case e.User != "" || e.Pass != "":
			req.SetBasicAuth(e.User, e.Pass)
			return
		}
	}
	if c.Credentials != nil {
		if user, pass := c.Credentials(req.URL.Hostname()); user != "" || pass != "" {
			req.SetBasicAuth(user, pass)
		}
	}
}

// CheckRedirect is how a Client's HTTP follows what an origin says: never out of TLS, where what is asked for would be
// there to read, and without credentials to any other host or port than the one that they are for.
func CheckRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("it redirects more than ten times")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("it redirects from https to %s", req.URL.Scheme)
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

func openFile(u *url.URL, offset int64) (io.ReadCloser, *http.Response, error) {
	f, err := os.Open(u.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, &statusError{url: u.String(), status: http.StatusNotFound}
	}
	if err != nil {
		return nil, nil, permanent{err}
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, nil, permanent{err}
	}
	return f, nil, nil
}

// resumer is a body that goes on where it broke off.
type resumer struct {
	c     *Client
	ctx   context.Context
	e     origin.Endpoint
	url   string
	body  io.ReadCloser
	etag  string
	at    int64 // bytes given so far
	size  int64 // of the whole document, -1 if unknown
	fails int
}

func (r *resumer) connect() error {
	body, resp, err := r.c.open(r.ctx, r.e, r.url, "", r.at, r.etag)
	if err != nil {
		return err
	}
	r.body = body
	if r.at == 0 {
		r.size = -1
		if resp != nil {
			r.size, r.etag = resp.ContentLength, resp.Header.Get("ETag")
		}
	}
	return nil
}

func (r *resumer) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.at += int64(n)
	if n > 0 {
		r.fails = 0
	}
	short := errors.Is(err, io.EOF) && r.size >= 0 && r.at < r.size
	if err == nil || (errors.Is(err, io.EOF) && !short) || r.ctx.Err() != nil {
		return n, err
	}
	if n > 0 {
		return n, nil // the next Read meets the error again
	}
	if r.fails++; r.fails >= tries {
		return n, fmt.Errorf("%s broke off after %d bytes: %w", redact(r.url), r.at, io.ErrUnexpectedEOF)
	}
	r.body.Close()
	if werr := r.c.wait(r.ctx, 250*time.Millisecond<<r.fails); werr != nil {
		return 0, werr
	}
	if cerr := r.c.retry(r.ctx, r.connect); cerr != nil {
		r.body = io.NopCloser(strings.NewReader(""))
		return 0, cerr
	}
	return 0, nil
}

func (r *resumer) Close() error { return r.body.Close() }
