package web

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"goauthentik.io/internal/constants"
)

//go:embed starting.html
var startingPage string

var startingTemplate = template.Must(template.New("starting").Parse(startingPage))

// serveStarting answers whatever is asked before the Python half can: a page that looks again for browsers, else a line.
func serveStarting(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Retry-After", "2")
	header.Set("Cache-Control", "no-store")
	header.Add("Vary", "Accept")

	var body bytes.Buffer
	switch accept := r.Header.Get("Accept"); {
	case strings.Contains(accept, "text/html"):
		header.Set("Content-Type", "text/html; charset=utf-8")
		if err := startingTemplate.Execute(&body, constants.FullVersion()); err != nil {
			body.Reset()
			body.WriteString("starting\n")
		}
	case strings.Contains(accept, "application/json"):
		header.Set("Content-Type", "application/json")
		_ = json.NewEncoder(&body).Encode(map[string]string{"detail": "authentik is starting", "code": "starting"})
	default:
		header.Set("Content-Type", "text/plain; charset=utf-8")
		body.WriteString("starting\n")
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(body.Bytes())
}
