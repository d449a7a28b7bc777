package web

import (
	"crypto/subtle"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"goauthentik.io/api/v3"

	"goauthentik.io/internal/constants"
)

const metricsPath = "/-/metrics/"

// metrics are those of this half; those of the Python half are asked for when somebody looks.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	config   *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "authentik_main_request_duration_seconds",
			Help: "How long requests took, by what answered them",
		}, []string{"dest"}),
		config: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "authentik_main_config_info",
			Help: "The configuration that was read from the backend",
		}, []string{"brand", "version", "workers"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "authentik_main_build_info",
		Help:        "The version of the server",
		ConstLabels: prometheus.Labels{"version": constants.Version(), "build_hash": constants.BuildHash()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.config, build, collectors.NewGoCollector())
	return m
}

func (m *metrics) setConfig(remote *api.Config) {
	m.config.Reset()
	m.config.With(prometheus.Labels{
		"brand":   remote.GetBrandTitle(),
		"version": remote.GetVersion(),
		"workers": strconv.Itoa(int(remote.GetWebWorkers())),
	}).Set(1)
}

// observe measures how long each request takes.
func (m *metrics) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		next.ServeHTTP(w, r)
		m.requests.WithLabelValues(destination(mux.CurrentRoute(r))).Observe(time.Since(started).Seconds())
	})
}

// destination says what answered, in few words: each is a time series of its own.
func destination(route *mux.Route) string {
	template, err := route.GetPathTemplate()
	switch {
	case err != nil || template == "/":
		return "core"
	case template == livePath || template == readyPath || template == metricsPath:
		return "internal"
	default:
		return "embedded_static"
	}
}

// metricsRoutes is for a listener that only Prometheus reaches.
func (s *Server) metricsRoutes() http.Handler {
	router := mux.NewRouter()
	router.Path("/metrics").HandlerFunc(s.serveMetrics)
	router.Path(metricsPath).HandlerFunc(s.serveMetrics)
	router.PathPrefix("/-/health/live/").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})
	return router
}

// serveProtectedMetrics is for the listener that everybody reaches: it wants the user `monitor` and the secret key.
func (s *Server) serveProtectedMetrics(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	known := subtle.ConstantTimeCompare([]byte(user), []byte("monitor")) &
		subtle.ConstantTimeCompare([]byte(password), []byte(s.config.SecretKey))
	if s.config.SecretKey == "" || known != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="authentik-monitoring"`)
		http.Error(w, "Log in as monitor, with the secret key.", http.StatusUnauthorized)
		return
	}
	s.serveMetrics(w, r)
}

// serveMetrics shows the metrics of both halves.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
	if !s.unicorn.IsRunning() {
		return
	}
	response, err := s.backend.get(r.Context(), metricsPath)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		_, _ = io.Copy(w, response.Body)
	}
}
