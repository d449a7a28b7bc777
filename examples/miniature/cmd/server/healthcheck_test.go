package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:9000":    "localhost:9000",
		"[::]:9000":       "localhost:9000",
		":9000":           "localhost:9000",
		"127.0.0.2:9000":  "127.0.0.2:9000",
		"id.example:9000": "id.example:9000",
		"not an address":  "not an address",
	} {
		assert.Equal(t, want, reachable(address), address)
	}
}

func TestHealthcheckCommand(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/-/health/live/", r.URL.Path)
		w.WriteHeader(status)
	}))
	defer server.Close()
	t.Setenv("AUTHENTIK_LISTEN__HTTP", server.Listener.Addr().String())

	for _, mode := range []string{"server", "worker"} {
		root := newRootCommand()
		root.SetArgs([]string{"healthcheck", mode})
		status = http.StatusOK
		assert.NoError(t, root.Execute())
		status = http.StatusServiceUnavailable
		assert.ErrorContains(t, root.Execute(), "503")
	}
	server.Close()
	root := newRootCommand()
	root.SetArgs([]string{"healthcheck", "server"})
	assert.Error(t, root.Execute())
}
