package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"

	"github.com/google/uuid"
	log "github.com/sirupsen/logrus"
)

// requestIDHeader carries one request's name through the logs of both halves.
const requestIDHeader = "X-authentik-id"

// proxy hands requests, and connections that become web sockets, to the Python half.
func (s *Server) proxy() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: s.backend.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", backendHost
			r.Out.Host = r.In.Host
			r.SetXForwarded() // replaces what the client claims
			r.Out.Header.Set(requestIDHeader, uuid.NewString())
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return // the client has gone
			}
			s.log.WithError(err).WithField("path", r.URL.Path).Warning("The backend did not answer")
			http.Error(w, "The backend did not answer.", http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.unicorn.IsRunning() {
			serveStarting(w, r)
			return
		}
		s.log.WithFields(log.Fields{"method": r.Method, "path": r.URL.Path}).Debug("To the backend")
		proxy.ServeHTTP(w, r)
	})
}
