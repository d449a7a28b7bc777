package web

import (
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/mux"

	staticWeb "goauthentik.io/web"
)

// addStatic serves the web interface (dist) and the icons (authentik) out of the web folder, and two files of fixed text.
func addStatic(router *mux.Router, web fs.FS) {
	for prefix, folder := range map[string]string{"/static/dist/": "dist", "/static/authentik/": "authentik"} {
		files, err := fs.Sub(web, folder)
		if err != nil {
			panic(err) // the names above are good ones
		}
		router.PathPrefix(prefix).Handler(http.StripPrefix(strings.TrimSuffix(prefix, "/"), serveFiles(files)))
	}
	router.Path("/robots.txt").Handler(serveText(staticWeb.RobotsTxt))
	router.Path("/.well-known/security.txt").Handler(serveText(staticWeb.SecurityTxt))
}

// serveFiles serves files, but lists no folders. A file's name changes with its content, where it carries the version or a
// hash; so browsers may keep it.
func serveFiles(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		info, err := fs.Stat(files, name)
		if err != nil || !info.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600, no-transform")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		server.ServeHTTP(w, r)
	})
}

func serveText(text []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(text)
	})
}
