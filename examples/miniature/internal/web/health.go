package web

import (
	"net/http"

	"github.com/gorilla/mux"
)

const (
	livePath  = "/-/health/live/"
	readyPath = "/-/health/ready/"
)

// addHealth answers whether the server lives (whatever the Python half does) and whether the application can be used.
func (s *Server) addHealth(router *mux.Router) {
	router.Path(livePath).HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})
	router.Path(readyPath).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.unicorn.IsRunning() {
			serveStarting(w, r)
			return
		}
		status := s.backend.status(r.Context(), readyPath)
		if status == http.StatusServiceUnavailable {
			serveStarting(w, r)
			return
		}
		w.WriteHeader(status)
	})
}
