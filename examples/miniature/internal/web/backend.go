package web

import (
	"context"
	"net"
	"net/http"
	"time"

	"goauthentik.io/internal/constants"
)

// The backend is asked below this name; it has no address but the socket.
const backendHost = "authentik.internal"

// backend is the Python half, as something that requests are sent to.
type backend struct {
	transport *http.Transport
	client    *http.Client
}

func newBackend(socket string) *backend {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // what the browser wants is up to the browser
	}
	return &backend{transport: transport, client: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// get asks the backend for a path. The caller closes the answer's body.
func (b *backend) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+backendHost+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", constants.UserAgent())
	return b.client.Do(request)
}

// status asks the backend for a path and returns the answer's status; 503 where there is no answer.
func (b *backend) status(ctx context.Context, path string) int {
	response, err := b.get(ctx, path)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	_ = response.Body.Close()
	return response.StatusCode
}
