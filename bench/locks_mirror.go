package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// mirror serves, on loopback, what the cache directory holds of the twin's artifacts, with the protocols of the real
// registries: so that a comparison of fetching is not one of the network's moods. Its files are those that the real
// tools have downloaded.
type mirror struct {
	cache  string
	base   string       // "http://127.0.0.1:1234"
	files  atomic.Int64 // artifacts that were asked for
	bytes  atomic.Int64 // of artifacts that were sent
	simple func() map[string][]byte
}

// mirrors starts the server, once a run, and gives the address for each ecosystem.
func (l *locks) mirrors(ctx context.Context) (map[string]string, error) {
	if l.mirror == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		m := &mirror{cache: l.cache, base: "http://" + listener.Addr().String()}
		m.simple = sync.OnceValue(m.projects)
		mux := http.NewServeMux()
		for at, dir := range map[string]string{"/npm/": "mirror/npm", "/go/": "gomod/cache/download", "/pypi/files/": pypiFiles} {
			mux.Handle(at, m.counted(http.StripPrefix(at, http.FileServer(http.Dir(filepath.Join(l.cache, dir))))))
		}
		mux.HandleFunc("/pypi/simple/", m.project)
		mux.HandleFunc("/crates/", m.index)
		mux.Handle("/crates/dl/", m.counted(http.HandlerFunc(m.crate)))
		server := &http.Server{Handler: mux}
		go func() { _ = server.Serve(listener) }()
		context.AfterFunc(ctx, func() { _ = server.Close() })
		l.mirror = m
	}
	base := l.mirror.base
	return map[string]string{"npm": base + "/npm", "go": base + "/go", "crates": base + "/crates", "pypi": base + "/pypi/simple"}, nil
}

// counted counts what is sent.
func (m *mirror) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.files.Add(1)
		h.ServeHTTP(counter{w, &m.bytes}, r)
	})
}

type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// ReadFrom leaves it to the kernel to send a file.
func (c counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.n.Add(n)
	return n, err
}

// crate is the archive of a crate.
func (m *mirror) crate(w http.ResponseWriter, r *http.Request) {
	if files, _ := filepath.Glob(filepath.Join(m.cache, "cargo/registry/cache/*", path.Base(r.URL.Path))); len(files) > 0 {
		http.ServeFile(w, r, files[0])
		return
	}
	http.NotFound(w, r)
}

// index is a sparse index of crates, made of what cargo keeps of the real one.
func (m *mirror) index(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) == "config.json" {
		fmt.Fprintf(w, "{\"dl\": %q}\n", m.base+"/crates/dl/{crate}-{version}.crate")
		return
	}
	files, _ := filepath.Glob(filepath.Join(m.cache, "cargo/registry/index/*/.cache", strings.TrimPrefix(r.URL.Path, "/crates/")))
	if len(files) > 0 {
		if b, err := os.ReadFile(files[0]); err == nil {
			_, _ = w.Write(indexLines(b))
			return
		}
	}
	http.NotFound(w, r)
}

// indexLines takes the lines of the index out of cargo's own file: five bytes of versions, the text of a revision, and
// then pairs of a version and its line, each ended by a zero byte.
func indexLines(b []byte) []byte {
	if len(b) < 5 {
		return nil
	}
	var out []byte
	for i, part := range bytes.Split(b[5:], []byte{0}) {
		if i > 0 && i%2 == 0 {
			out = append(append(out, part...), '\n')
		}
	}
	return out
}

// mirrorNpm lays the archives that npm has in its cache out as a registry does.
func (l *locks) mirrorNpm(ctx context.Context) error {
	if err := l.fillNpm(ctx); err != nil {
		return err
	}
	return l.filled("mirror-npm", func() error {
		b, err := os.ReadFile(filepath.Join(l.repo, "e2e/twin/web/package-lock.json"))
		if err != nil {
			return err
		}
		var lock struct {
			Packages map[string]struct{ Resolved, Integrity string }
		}
		if err := json.Unmarshal(b, &lock); err != nil {
			return err
		}
		for _, p := range lock.Packages {
			u, err := url.Parse(p.Resolved)
			algorithm, sum, ok := strings.Cut(p.Integrity, "-")
			raw, err2 := base64.StdEncoding.DecodeString(sum)
			if err != nil || err2 != nil || !ok || u.Host == "" {
				continue
			}
			h := hex.EncodeToString(raw)
			from := filepath.Join(l.cache, "npm/_cacache/content-v2", algorithm, h[:2], h[2:4], h[4:])
			to := filepath.Join(l.cache, "mirror/npm", filepath.FromSlash(u.Path))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			// What is only for other platforms has not been downloaded.
			if err := os.Link(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		return nil
	})
}
