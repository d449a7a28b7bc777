// Package ociregistry is a registry for tests, in the process and on the loopback address: the distribution protocol
// with the strictness that the specification allows, and with the faults that real registries have.
//
// Blobs belong to a repository and come into another only by a mount. A session refuses chunks that do not continue it,
// and addresses that are not the last ones it gave. A manifest is kept only when all it names is in its repository.
package ociregistry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say what kind of registry it is.
type Options struct {
	TLS            bool
	User, Password string // empty: anybody may do anything
	Bearer         bool   // asks for tokens, which its own /token gives, instead of user and password
	TokenUses      int    // how many requests a token is good for; 0: any number
	ExpiresIn      int    // what it says of a token's life in seconds; 0: nothing
	MinChunk       int64  // OCI-Chunk-Min-Length
}

// Faults are what goes wrong. Counters go down by themselves.
type Faults struct {
	CutAfter     int64  // with Cuts: the connection breaks after that many bytes of an upload's body
	Cuts         int    // how many bodies meet that
	CutsEnd      bool   // a body that broke ends its session, as in the distribution registry
	CutAnswers   int    // how many finished uploads are kept, but never answered
	Busy         int    // how many requests are answered with 429
	RetryAfter   string // the header of those answers
	Failing      int    // how many requests of uploads are answered with 503
	ReadOnly     bool   // nothing may be pushed
	Denied       bool   // 403 for every push
	Claims       bool   // HEAD says that it has every blob
	Forgets      bool   // refuses every manifest because of blobs that it lacks
	RefuseZstd   bool   // refuses manifests with zstd layers
	NoChunks     bool   // PATCH is not allowed
	IgnoreMount  bool   // starts a session instead
	BodyLimit    int64  // 413 for larger bodies
	LoseSessions int    // how many sessions are forgotten at their first chunk
	Corrupt      int    // how many finished uploads do not match their digest
}

// Registry is a running registry.
type Registry struct {
	Options
	server *httptest.Server

	mu       sync.Mutex
	faults   Faults
	repos    map[string]*repository
	sessions map[string]*session
	tokens   map[string]*token
	log      []string
	received int64
	next     int
}

type repository struct {
	blobs     map[string][]byte
	manifests map[string]manifest
	tags      map[string]string
}

type manifest struct {
	mediaType string
	raw       []byte
}

// session is an upload. Its own lock is held while a body comes in.
type session struct {
	mu    sync.Mutex
	repo  string
	data  []byte
	state int // of the last address that was given
}

// Start runs a registry until the test ends.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	r := &Registry{Options: o, repos: map[string]*repository{}, sessions: map[string]*session{}, tokens: map[string]*token{}}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused certificates are what some tests are about
	if o.TLS {
		r.server.EnableHTTP2 = true
		r.server.StartTLS()
	} else {
		r.server.Start()
	}
	t.Cleanup(func() {
		r.server.CloseClientConnections() // a test that failed may have left one in the middle of something
		r.server.Close()
	})
	return r
}

// Host is the registry's host and port.
func (r *Registry) Host() string { return r.server.Listener.Addr().String() }

// URL is the registry's address.
func (r *Registry) URL() string { return r.server.URL }

// Transport trusts the registry's certificate.
func (r *Registry) Transport() *http.Transport { return r.server.Client().Transport.(*http.Transport) }

// Set changes what goes wrong from now on.
func (r *Registry) Set(change func(*Faults)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.faults)
}

// Count says how many requests began with prefix, as in `PATCH` or `POST /v2/team/app/blobs/uploads/?mount=`.
func (r *Registry) Count(prefix string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, l := range r.log {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// Log lists the requests since the last Forget.
func (r *Registry) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

// Received is how many bytes of blobs came in since the last Forget.
func (r *Registry) Received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received
}

// Forget empties the log.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log, r.received = nil, 0
}

// Blob gives a blob of a repository.
func (r *Registry) Blob(repo, digest string) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.repo(repo).blobs[digest]
	return b, ok
}

// Drop takes a blob away, as a collection of garbage would.
func (r *Registry) Drop(repo, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repo(repo).blobs, digest)
}

// Tag gives the digest that a tag of a repository stands for, or nothing.
func (r *Registry) Tag(repo, tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repo(repo).tags[tag]
}

func (r *Registry) repo(name string) *repository {
	if r.repos[name] == nil {
		r.repos[name] = &repository{blobs: map[string][]byte{}, manifests: map[string]manifest{}, tags: map[string]string{}}
	}
	return r.repos[name]
}

var (
	route  = regexp.MustCompile(`^/v2/(.+)/(blobs|manifests|blobs/uploads)/([^/]*)$`)
	goodID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	nameRE = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$`)
)

func (r *Registry) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.log = append(r.log, q.Method+" "+q.URL.RequestURI())
	busy := r.faults.Busy > 0 && q.URL.Path != "/token"
	if busy {
		r.faults.Busy--
	}
	after := r.faults.RetryAfter
	r.mu.Unlock()
	if busy {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		fail(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")
		return
	}
	if q.URL.Path == "/token" {
		r.giveToken(w, q)
		return
	}
	m := route.FindStringSubmatch(q.URL.Path)
	if m == nil && q.URL.Path != "/v2/" {
		http.NotFound(w, q)
		return
	}
	repo := ""
	if m != nil {
		repo = m[1]
	}
	if !r.authorized(w, q, repo) {
		return
	}
	switch {
	case m == nil:
		w.WriteHeader(http.StatusOK)
	case !nameRE.MatchString(repo):
		fail(w, http.StatusBadRequest, "NAME_INVALID", "invalid repository name")
	case m[2] == "blobs":
		r.serveBlob(w, q, repo, m[3])
	case m[2] == "manifests":
		r.serveManifest(w, q, repo, m[3])
	default:
		r.serveUpload(w, q, repo, m[3])
	}
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"code": code, "message": message}}})
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

func (r *Registry) serveBlob(w http.ResponseWriter, q *http.Request, repo, digest string) {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "not allowed")
		return
	}
	r.mu.Lock()
	b, ok := r.repo(repo).blobs[digest]
	claims := r.faults.Claims
	r.mu.Unlock()
	if !ok && claims && q.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if q.Method == http.MethodGet {
		_, _ = w.Write(b)
	}
}

func (r *Registry) serveManifest(w http.ResponseWriter, q *http.Request, repo, ref string) {
	switch q.Method {
	case http.MethodPut:
		r.putManifest(w, q, repo, ref)
		return
	case http.MethodGet, http.MethodHead:
	default:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "not allowed")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rp := r.repo(repo)
	d := ref
	if t, ok := rp.tags[ref]; ok {
		d = t
	}
	m, ok := rp.manifests[d]
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.raw)))
	if q.Method == http.MethodGet {
		_, _ = w.Write(m.raw)
	}
}

func (r *Registry) putManifest(w http.ResponseWriter, q *http.Request, repo, ref string) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 4<<20))
	if err != nil {
		fail(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.faults
	if f.ReadOnly {
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the registry is read-only")
		return
	}
	mediaType := q.Header.Get("Content-Type")
	d := sum(raw)
	if code, message := r.repo(repo).check(raw, mediaType, f); code != "" {
		fail(w, http.StatusBadRequest, code, message)
		return
	}
	if strings.Contains(ref, ":") && ref != d {
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "the manifest is "+d)
		return
	}
	rp := r.repo(repo)
	rp.manifests[d] = manifest{mediaType, raw}
	if !strings.Contains(ref, ":") {
		rp.tags[ref] = d
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.Header().Set("Location", "/v2/"+repo+"/manifests/"+d)
	w.WriteHeader(http.StatusCreated)
}

// check says why a manifest cannot be kept: the code and the words of the refusal.
func (rp *repository) check(raw []byte, mediaType string, f *Faults) (code, message string) {
	if f.Forgets {
		return "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"
	}
	var m struct {
		MediaType string          `json:"mediaType"`
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&m); err != nil {
		return "MANIFEST_INVALID", err.Error()
	}
	if m.MediaType != mediaType {
		return "MANIFEST_INVALID", fmt.Sprintf("the manifest says %q, the request %q", m.MediaType, mediaType)
	}
	for _, x := range m.Manifests {
		if have, ok := rp.manifests[x.Digest.String()]; !ok || int64(len(have.raw)) != x.Size {
			return "MANIFEST_BLOB_UNKNOWN", "manifest " + x.Digest.String() + " unknown"
		}
	}
	if m.Config == nil && len(m.Manifests) == 0 {
		return "MANIFEST_INVALID", "neither configuration nor manifests"
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, x := range blobs {
		if f.RefuseZstd && strings.HasSuffix(string(x.MediaType), "+zstd") {
			return "MANIFEST_INVALID", "unknown media type " + string(x.MediaType)
		}
		if have, ok := rp.blobs[x.Digest.String()]; !ok || int64(len(have)) != x.Size {
			return "MANIFEST_BLOB_UNKNOWN", "blob " + x.Digest.String() + " unknown to registry"
		}
	}
	return "", ""
}

var errCut = errors.New("the connection is cut")
