// Package web is the HTTP server in front of the Python half: it serves the files of the web interface, says how the
// application is, and hands all else to gunicorn.
package web

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gorilla/handlers"
	"github.com/gorilla/mux"
	log "github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"goauthentik.io/internal/config"
	"goauthentik.io/internal/gounicorn"
)

// backendSocket is where gunicorn listens, below the directory for temporary files: lifecycle/gunicorn.conf.py names it too.
const backendSocket = "authentik-core.sock"

// Server is the whole of it.
type Server struct {
	config  *config.Config
	log     *log.Entry
	backend *backend
	unicorn *gounicorn.GoUnicorn
	metrics *metrics
	handler http.Handler
}

// New returns a server that does not run yet.
func New(config *config.Config) *Server {
	s := &Server{
		config:  config,
		log:     log.WithField("logger", "authentik.router"),
		backend: newBackend(filepath.Join(os.TempDir(), backendSocket)),
		metrics: newMetrics(),
	}
	s.unicorn = gounicorn.New(gounicorn.Options{
		Healthy:   func(ctx context.Context) bool { return s.backend.status(ctx, livePath) == http.StatusOK },
		OnHealthy: s.readRemoteConfig,
	})
	s.handler = s.routes(os.DirFS("./web"))
	return s
}

// Run serves until the context ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.unicorn.Run(ctx) })
	group.Go(func() error { return s.serve(ctx, "http", s.config.Listen.HTTP, s.handler) })
	group.Go(func() error { return s.serve(ctx, "metrics", s.config.Listen.Metrics, s.metricsRoutes()) })
	return group.Wait()
}

// Signal hands a signal to gunicorn.
func (s *Server) Signal(signal os.Signal) {
	s.unicorn.Signal(signal)
}

func (s *Server) serve(ctx context.Context, name, address string, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	s.log.WithFields(log.Fields{"listener": name, "address": listener.Addr()}).Info("Listening")

	stopped := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) routes(files fs.FS) http.Handler {
	router := mux.NewRouter()
	router.SkipClean(true) // the backend's paths are its own business
	router.Use(s.metrics.observe, poweredBy)
	s.addHealth(router)
	router.Path(metricsPath).HandlerFunc(s.serveProtectedMetrics)
	addStatic(router, files)
	router.PathPrefix("/").Handler(s.proxy())
	return handlers.CompressHandler(router)
}

func poweredBy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Powered-By", "authentik")
		next.ServeHTTP(w, r)
	})
}
