package web

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	log "github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"goauthentik.io/api/v3"

	"goauthentik.io/internal/config"
	"goauthentik.io/internal/constants"
	"goauthentik.io/internal/gounicorn"
)

const patience = 10 * time.Second

// fixture is a server whose gunicorn is a sleep and whose Python half is a handler of the test's, behind a real socket.
type fixture struct {
	*Server
	url     string
	healthy atomic.Bool
}

func newFixture(t *testing.T, backend http.Handler) *fixture {
	t.Helper()
	temporary, err := os.MkdirTemp("", "ak") // short: the path of a socket may not be long
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"web/dist/admin/AdminInterface-1.js": "export {};" + strings.Repeat(" ", 2000),
		"web/authentik/sources/ldap.svg":     "<svg/>",
		"web/secret":                         "not served",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	t.Chdir(folder)

	f := &fixture{Server: New(&config.Config{SecretKey: "a secret"})}
	listener, err := net.Listen("unix", filepath.Join(temporary, backendSocket))
	require.NoError(t, err)
	python := httptest.NewUnstartedServer(backend)
	_ = python.Listener.Close()
	python.Listener = listener
	python.Start()
	t.Cleanup(python.Close)

	f.unicorn = gounicorn.New(gounicorn.Options{
		Command:   []string{"sleep", "60"},
		Healthy:   func(context.Context) bool { return f.healthy.Load() },
		OnHealthy: f.readRemoteConfig,
		Probe:     2 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.unicorn.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	front := httptest.NewServer(f.handler)
	t.Cleanup(front.Close)
	f.url = front.URL
	return f
}

func (f *fixture) start(t *testing.T) {
	t.Helper()
	f.healthy.Store(true)
	require.Eventually(t, f.unicorn.IsRunning, patience, time.Millisecond)
}

func (f *fixture) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func TestHealthGoesFromStartingToReady(t *testing.T) {
	status := http.StatusServiceUnavailable
	f := newFixture(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))

	response, _ := f.get(t, livePath)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	response, body := f.get(t, readyPath)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.Contains(t, body, "starting")

	f.start(t)
	response, _ = f.get(t, readyPath)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "the backend lives, but is not ready")
	status = http.StatusOK
	response, _ = f.get(t, readyPath)
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestWhoComesEarlyIsAskedToWait(t *testing.T) {
	t.Setenv("GIT_BUILD_HASH", "cafe")
	f := newFixture(t, http.NotFoundHandler())

	response, body := f.get(t, "/if/user/", "Accept", "text/html,*/*")
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.Equal(t, "2", response.Header.Get("Retry-After"))
	assert.Contains(t, html.UnescapeString(body), "/static/dist/standalone/loading/index-"+constants.Version()+"+cafe.js")

	_, body = f.get(t, "/api/v3/core/users/me/", "Accept", "application/json")
	var answer map[string]string
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	assert.Equal(t, "starting", answer["code"])
}

func TestStaticFiles(t *testing.T) {
	f := newFixture(t, http.NotFoundHandler())

	response, body := f.get(t, "/static/dist/admin/AdminInterface-1.js")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, response.Header.Get("Content-Type"), "javascript")
	assert.Contains(t, response.Header.Get("Cache-Control"), "max-age")
	assert.True(t, strings.HasPrefix(body, "export {}"))

	response, _ = f.get(t, "/static/dist/admin/AdminInterface-1.js", "Accept-Encoding", "gzip")
	assert.Equal(t, "gzip", response.Header.Get("Content-Encoding"))

	response, _ = f.get(t, "/static/authentik/sources/ldap.svg")
	assert.Equal(t, "image/svg+xml", response.Header.Get("Content-Type"))
	_, body = f.get(t, "/robots.txt")
	assert.Contains(t, body, "Disallow")
	_, body = f.get(t, "/.well-known/security.txt")
	assert.Contains(t, body, "Contact")

	for _, path := range []string{
		"/static/dist/", "/static/dist/admin", "/static/dist/none.js", "/static/dist/../secret",
		"/static/dist/%2e%2e/secret", "/static/authentik/../../go.mod",
	} {
		response, _ = f.get(t, path)
		assert.Equal(t, http.StatusNotFound, response.StatusCode, path)
	}
}

func TestTheRestGoesToTheBackend(t *testing.T) {
	f := newFixture(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := map[string]string{"host": r.Host, "uri": r.RequestURI}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", requestIDHeader} {
			header[name] = r.Header.Get(name)
		}
		_ = json.NewEncoder(w).Encode(header)
	}))
	f.start(t)

	response, body := f.get(t, "/api/v3/a%2Fb/?c=d", "X-Forwarded-Host", "evil.example", "X-Forwarded-For", "6.6.6.6")
	var seen map[string]string
	require.NoError(t, json.Unmarshal([]byte(body), &seen))
	assert.Equal(t, "authentik", response.Header.Get("X-Powered-By"))
	assert.Equal(t, "/api/v3/a%2Fb/?c=d", seen["uri"])
	assert.Equal(t, strings.TrimPrefix(f.url, "http://"), seen["host"])
	assert.Equal(t, seen["host"], seen["X-Forwarded-Host"], "what a client claims does not count")
	assert.Equal(t, "127.0.0.1", seen["X-Forwarded-For"])
	assert.Equal(t, "http", seen["X-Forwarded-Proto"])
	assert.Len(t, seen[requestIDHeader], 36)
}

func TestWebSockets(t *testing.T) {
	f := newFixture(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			return
		}
		connection, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		kind, message, err := connection.ReadMessage()
		if err == nil {
			_ = connection.WriteMessage(kind, append([]byte("echo "), message...))
		}
	}))
	f.start(t)

	connection, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(f.url, "http")+"/ws/client/", nil)
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	require.NoError(t, connection.WriteMessage(websocket.TextMessage, []byte("hello")))
	_, message, err := connection.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "echo hello", string(message))
}

func TestABackendThatDoesNotAnswer(t *testing.T) {
	f := newFixture(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	f.start(t)
	response, _ := f.get(t, "/if/user/")
	assert.Equal(t, http.StatusBadGateway, response.StatusCode)
}

func TestConfigurationComesThroughTheGeneratedClient(t *testing.T) {
	level := log.GetLevel()
	t.Cleanup(func() { log.SetLevel(level) })
	f := newFixture(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/root/config/" {
			_, _ = io.WriteString(w, "python_metric 1\n")
			return
		}
		assert.Equal(t, constants.UserAgent(), r.UserAgent())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(api.Config{
			BrandTitle: "Company", BrandIcon: "/icon.svg", LogLevel: "error", Version: constants.Version(), WebWorkers: 3,
			Capabilities:   []api.CapabilitiesEnum{api.CAPABILITIESENUM_CAN_DEBUG},
			ErrorReporting: api.ErrorReportingConfig{Environment: "test"},
		})
	}))
	f.start(t)
	assert.Eventually(t, func() bool { return log.GetLevel() == log.ErrorLevel }, patience, time.Millisecond)

	response, _ := f.get(t, metricsPath)
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+metricsPath, nil)
	require.NoError(t, err)
	request.SetBasicAuth("monitor", "a secret")
	response, err = http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), `authentik_main_config_info{brand="Company",version="`+constants.Version()+`",workers="3"} 1`)
	assert.Contains(t, string(body), "python_metric 1")
	assert.Contains(t, string(body), `authentik_main_request_duration_seconds_count{dest="internal"}`)
}

func TestRunServesAndEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("PATH", "")
	server := New(&config.Config{Listen: config.Listen{HTTP: "127.0.0.1:0", Metrics: "127.0.0.1:0"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.NoError(t, server.Run(ctx))

	server = New(&config.Config{Listen: config.Listen{HTTP: "not an address", Metrics: "127.0.0.1:0"}})
	assert.Error(t, server.Run(t.Context()))
}
