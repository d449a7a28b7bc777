package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errPlain says that a request would have gone out without TLS.
var errPlain = errors.New("it would be spoken to without TLS")

// guard lets plain HTTP out only to hosts that may be spoken to so. ggcr would try it with any private address.
type guard struct {
	base  http.RoundTripper
	plain []string
	after atomic.Int64 // the last Retry-After, which ggcr's errors do not tell
}

// delayed adds to an error of ggcr's how long the registry asked to wait.
func (g *guard) delayed(err error) error {
	var st *statusError
	if errors.As(err, &st) && st.temporary() {
		st.after = time.Duration(g.after.Load())
	}
	return err
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !plainAllowed(r.URL.Host, g.plain) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errPlain)
	}
	resp, err := g.base.RoundTrip(r)
	if err == nil {
		g.after.Store(int64(retryAfter(resp.Header)))
	}
	return resp, err
}

// tokenTries is how many fresh tokens one request may ask for. More than one: where a token lives very shortly, others
// use it up before this request gets its turn.
const tokenTries = 3

// authorized sends requests to one registry with what it asks for: nothing, user and password, or a token, which is
// fetched anew when it has expired. ggcr's own transport cannot send a body again after a token has expired, and asks
// for a token once for each request that meets an expired one; so only ggcr's dance itself is used.
type authorized struct {
	base      *guard
	registry  name.Registry
	challenge *transport.Challenge
	auth      authn.Authenticator
	scopes    []string

	mu    sync.Mutex // held while a token is fetched, so that it is fetched once
	token string
	stale *time.Timer
}

// connectTo asks the registry what it wants, and gets the first token.
func connectTo(ctx context.Context, base *guard, reg name.Registry, auth authn.Authenticator) (*authorized, error) {
	ch, err := transport.Ping(ctx, reg, base)
	if err != nil {
		return nil, err
	}
	return &authorized{base: base, registry: reg, challenge: ch, auth: auth}, nil
}

func (a *authorized) scheme() string {
	if a.challenge.Insecure {
		return "http"
	}
	return "https"
}

func (a *authorized) bearer() bool { return strings.EqualFold(a.challenge.Scheme, "bearer") }

// header is the value of the Authorization header. refused is one that the registry did not take.
func (a *authorized) header(ctx context.Context, refused string) (string, error) {
	if a.challenge.Scheme == "" {
		return "", nil
	}
	if a.bearer() {
		return a.bearerHeader(ctx, refused)
	}
	c, err := authn.Authorization(ctx, a.auth)
	switch {
	case err != nil:
		return "", err
	case c.RegistryToken != "":
		return "Bearer " + c.RegistryToken, nil
	case c.Username == "" && c.Password == "":
		return "", nil
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)), nil
}

func (a *authorized) bearerHeader(ctx context.Context, refused string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && "Bearer "+a.token != refused {
		return "Bearer " + a.token, nil
	}
	c, err := authn.Authorization(ctx, a.auth)
	if err != nil {
		return "", err
	}
	if c.RegistryToken != "" { // the user has a token already: there is no other
		return "Bearer " + c.RegistryToken, nil
	}
	t, err := transport.Exchange(ctx, a.registry, a.auth, a.base, a.scopes, a.challenge)
	if err != nil {
		return "", err
	}
	a.token = t.Token
	if t.AccessToken != "" { // the name that OAuth2 has for it
		a.token = t.AccessToken
	}
	if t.RefreshToken != "" {
		a.auth = &found{authn.AuthConfig{IdentityToken: t.RefreshToken}, originOf(a.auth)}
	}
	a.expire(a.token, t.ExpiresIn)
	return "Bearer " + a.token, nil
}

// expire forgets a token shortly before it ends, so that no large body is sent with one that will be refused.
func (a *authorized) expire(token string, seconds int) {
	if a.stale != nil {
		a.stale.Stop()
		a.stale = nil
	}
	if seconds < 10 {
		return // none said, or so short that the registry's refusal will do
	}
	a.stale = time.AfterFunc(time.Duration(seconds)*time.Second*8/10, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.token == token {
			a.token = ""
		}
	})
}

func (a *authorized) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stale != nil {
		a.stale.Stop()
	}
}

// RoundTrip implements http.RoundTripper. Credentials go to the registry's own host and to no other that it redirects to.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.EqualFold(r.URL.Host, a.registry.RegistryStr()) {
		return a.base.RoundTrip(r)
	}
	h, err := a.header(r.Context(), "")
	if err != nil {
		closeBody(r)
		return nil, err
	}
	for try := 0; ; try++ {
		out := r.Clone(r.Context())
		if try > 0 && r.GetBody != nil {
			if out.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		if h != "" {
			out.Header.Set("Authorization", h)
		}
		resp, err := a.base.RoundTrip(out)
		again := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !a.bearer() || !again || try == tokenTries {
			return resp, err
		}
		fresh, err := a.header(r.Context(), h)
		if err != nil || fresh == h {
			return resp, nil // the registry's refusal says more
		}
		h = fresh
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerLimit))
		resp.Body.Close()
	}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// originOf says where credentials come from, if that is known.
func originOf(a authn.Authenticator) string {
	if f, ok := a.(*found); ok {
		return f.from
	}
	return ""
}

// resolve reads the address that an answer points to.
func resolve(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, errNoLocation
	}
	u, err := from.Parse(location)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("the registry points to `%s`, which is no address", oneLine(location))
	}
	return u, nil
}
