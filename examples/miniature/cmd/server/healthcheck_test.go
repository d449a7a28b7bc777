package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func healthcheck(mode string) error {
	root := newRootCommand()
	root.SetArgs([]string{"healthcheck", mode})
	return root.Execute()
}

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

func TestHealthcheckOfTheServer(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/-/health/live/", r.URL.Path)
		w.WriteHeader(status)
	}))
	defer server.Close()
	t.Setenv("AUTHENTIK_LISTEN__HTTP", server.Listener.Addr().String())

	assert.NoError(t, healthcheck("server"))
	status = http.StatusServiceUnavailable
	assert.ErrorContains(t, healthcheck("server"), "503")
	server.Close()
	assert.Error(t, healthcheck("server"))
}

func TestHealthcheckOfTheWorker(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(temporary, name), []byte(text), 0o600))
	}

	assert.ErrorContains(t, healthcheck("worker"), "no worker")
	write(workerPIDFile, fmt.Sprintln(os.Getpid()))
	assert.ErrorContains(t, healthcheck("worker"), "no heartbeat")
	write(workerHeartbeat, fmt.Sprintln(time.Now().Unix()))
	assert.NoError(t, healthcheck("worker"))
	write(workerHeartbeat, fmt.Sprintln(time.Now().Add(-time.Minute).Unix()))
	assert.ErrorContains(t, healthcheck("worker"), "ago")
	write(workerHeartbeat, "soon")
	assert.ErrorContains(t, healthcheck("worker"), workerHeartbeat)
	write(workerPIDFile, "2147483646")
	assert.ErrorContains(t, healthcheck("worker"), "process 2147483646")
}
