package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
)

// endpoints is a fixed list.
type endpoints []origin.Endpoint

func (e endpoints) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) { return e, nil }

// flat finds every artifact directly below the endpoint.
func flat(_ context.Context, _ fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	return fetch.Location{Endpoint: e, URL: e.URL + "/" + a.File}, nil
}

func client() *fetch.Client {
	return &fetch.Client{HTTP: &http.Client{}, Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func fetcher(t *testing.T, s store.Blobs, c *fetch.Client, eps ...string) *fetch.Fetcher {
	t.Helper()
	list := endpoints{}
	for i, u := range eps {
		list = append(list, origin.Endpoint{URL: u, From: fmt.Sprintf("test %d", i), Token: "secret"})
	}
	return fetch.New(fetch.Config{
		Store: s, Client: c, Endpoints: list,
		Locators: map[source.Ecosystem]fetch.Locator{source.NPM: flat, source.Go: flat},
		TempDir: func() (string, func(), error) {
			d, err := os.MkdirTemp(t.TempDir(), "")
			return d, func() { os.RemoveAll(d) }, err
		},
	})
}

func artifact(t *testing.T, content []byte) source.Artifact {
	t.Helper()
	sum := sha512.Sum512(content)
	i, err := source.NewIntegrity(source.SHA512, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return source.Artifact{Ecosystem: source.NPM, Name: "left", Version: "1", File: "left-1.tgz", Integrity: i}
}

func problem(t *testing.T, err error) *diag.Problem {
	t.Helper()
	var p *diag.Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a Problem", err)
	}
	return p
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetchTriesEndpointsInOrder(t *testing.T) {
	content := []byte("the bytes")
	empty := serve(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	full := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("no credentials for the endpoint's own host")
		}
		_, _ = w.Write(content)
	})
	s := memory.New()
	d, err := fetcher(t, s, client(), empty, full).Fetch(t.Context(), artifact(t, content))
	if err != nil || d != digest.Of(content) {
		t.Fatalf("got %v, %v", d, err)
	}
	if b, err := store.ReadBlob(t.Context(), s, d, 100); err != nil || !bytes.Equal(b, content) {
		t.Errorf("the store has %q, %v", b, err)
	}
}

func TestFetchWrongBytesLeaveNoTrace(t *testing.T) {
	wrong := []byte("other bytes, which nobody asked for")
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(wrong) })
	s := memory.New()
	_, err := fetcher(t, s, client(), u).Fetch(t.Context(), artifact(t, []byte("the bytes")))
	p := problem(t, err)
	var inner *diag.Problem
	if p.Code != "hash-mismatch" || !errors.As(p.Cause, &inner) || !strings.Contains(err.Error(), "not what is pinned") {
		t.Fatalf("got %v", err)
	}
	for i, word := range []string{"expected:  sha512-", "got:       sha512-", "from:      " + u} {
		if len(inner.Detail) != 3 || !strings.HasPrefix(inner.Detail[i], word) {
			t.Errorf("got %q, want %q", inner.Detail, word)
		}
	}
	if missing, _ := s.Missing(t.Context(), []digest.Digest{digest.Of(wrong)}); len(missing) != 1 {
		t.Error("the wrong bytes are in the store")
	}
}

func TestFetchTooMuch(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 100)
	a := artifact(t, content)
	a.Size = 50
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	_, err := fetcher(t, memory.New(), client(), u).Fetch(t.Context(), a)
	if p := problem(t, err); p.Code != "hash-mismatch" {
		t.Errorf("got %v", err)
	}
}

func TestFetchResumes(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 8192)
	var requests, ranged atomic.Int32
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("Range") != "" {
			ranged.Add(1)
		}
		if n < 4 {
			// Promise everything, give a part, and break the connection off.
			var at int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at)
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-at))
			if at > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(content)-1, len(content)))
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(content[at:min(at+20000, len(content))])
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	d, err := fetcher(t, memory.New(), client(), u).Fetch(t.Context(), artifact(t, content))
	if err != nil || d != digest.Of(content) {
		t.Fatalf("got %v, %v", d, err)
	}
	if requests.Load() != 4 || ranged.Load() != 3 {
		t.Errorf("%d requests, %d for a range; want 4 and 3", requests.Load(), ranged.Load())
	}
}

func TestFetchRetriesWhatPasses(t *testing.T) {
	content := []byte("the bytes")
	var n atomic.Int32
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(content)
	})
	if _, err := fetcher(t, memory.New(), client(), u).Fetch(t.Context(), artifact(t, content)); err != nil || n.Load() != 3 {
		t.Errorf("%d requests, %v", n.Load(), err)
	}
}

func TestFetchFailures(t *testing.T) {
	gone := serve(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	refused := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	a := artifact(t, []byte("x"))
	identity := a
	identity.URL = "https://files.npm.example/left-1.tgz"
	offline := client()
	offline.Offline = true
	unpinned := a
	unpinned.Integrity = source.Integrity{}
	for name, c := range map[string]struct {
		f    *fetch.Fetcher
		a    source.Artifact
		code string
		says string
	}{
		"gone":         {fetcher(t, memory.New(), client(), gone), a, "artifact-gone", "no origin has"},
		"refused":      {fetcher(t, memory.New(), client(), refused), a, "fetch-failed", "403"},
		"no origin":    {fetcher(t, memory.New(), client()), identity, "fetch-failed", "no origin is configured"},
		"offline":      {fetcher(t, memory.New(), offline, gone), a, "fetch-failed", "--offline"},
		"no integrity": {fetcher(t, memory.New(), client(), gone), unpinned, "integrity-missing", "nothing says"},
	} {
		_, err := c.f.Fetch(t.Context(), c.a)
		p := problem(t, err)
		if p.Code != c.code || !strings.Contains(err.Error(), c.says) || len(p.Hints) == 0 {
			t.Errorf("%s: got %s: %v, hints %v", name, p.Code, err, p.Hints)
		}
		if errors.Is(err, fetch.ErrGone) != (name == "gone") {
			t.Errorf("%s: ErrGone is %v", name, errors.Is(err, fetch.ErrGone))
		}
	}
}

func TestFetchUsesTheLocksOwnAddressLast(t *testing.T) {
	content := []byte("the bytes")
	a := artifact(t, content)
	a.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("an endpoint's credentials went to another host")
		}
		_, _ = w.Write(content)
	}) + "/own.tgz"
	empty := serve(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	if _, err := fetcher(t, memory.New(), client(), empty).Fetch(t.Context(), a); err != nil {
		t.Error(err)
	}
}

func TestFetchKnownDigestNeedsNoNetwork(t *testing.T) {
	s := memory.New()
	content := []byte("already here")
	d, err := s.Put(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	hash := d.Hash()
	i, _ := source.NewIntegrity(source.SHA256, hash[:])
	a := source.Artifact{Ecosystem: source.NPM, Name: "x", File: "x", Integrity: i, Size: d.Size()}
	if got, err := fetcher(t, s, client()).Fetch(t.Context(), a); err != nil || got != d {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFetchH1(t *testing.T) {
	mod := []byte("module a.example/m\n")
	want, err := source.VerifyH1("v1.0.0.mod", bytes.NewReader(mod), int64(len(mod)))
	if err != nil {
		t.Fatal(err)
	}
	u := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(mod) })
	a := source.Artifact{Ecosystem: source.Go, Name: "a.example/m", Version: "v1.0.0", File: "v1.0.0.mod", Integrity: want}
	if d, err := fetcher(t, memory.New(), client(), u).Fetch(t.Context(), a); err != nil || d != digest.Of(mod) {
		t.Errorf("got %v, %v", d, err)
	}
	a.Integrity, _ = source.NewIntegrity(source.H1, make([]byte, 32))
	if _, err := fetcher(t, memory.New(), client(), u).Fetch(t.Context(), a); problem(t, err).Code != "hash-mismatch" {
		t.Errorf("got %v", err)
	}
}

func TestFileOrigin(t *testing.T) {
	dir := t.TempDir()
	content := []byte("from a disk")
	if err := os.WriteFile(filepath.Join(dir, "left-1.tgz"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	c := client()
	c.Offline = true
	if _, err := fetcher(t, memory.New(), c, "file://"+t.TempDir(), "file://"+dir).Fetch(t.Context(), artifact(t, content)); err != nil {
		t.Error(err)
	}
}
