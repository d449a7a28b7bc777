//go:build e2e && linux

package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// registry is Debian's docker-registry on loopback, with a password and TLS, behind a proxy that counts what travels.
type registry struct {
	addr  string // host:port of the proxy
	certs string // a directory with ca.crt, as skopeo wants it
	env   []string
	files string // where it keeps what it has

	mu   sync.Mutex
	seen []request
}

// request is one that reached the registry.
type request struct {
	method, path string
	sent         int64 // bytes of its body
	status       int
}

const (
	registryUser = "someone"
	registryPass = "correct horse"
	// As htpasswd -B writes it; the lowest cost, since every request is checked against it.
	registryLogin = registryUser + ":$2b$04$exHEfDY44QWWsL6DtVmex.B/KmS.paaW6LkNTT5yun5CVfhJde9H6\n"
)

func (w *world) newRegistry(t *testing.T) *registry {
	t.Helper()
	need(t, "docker-registry", "skopeo")
	dir, err := os.MkdirTemp(w.dir, "registry-")
	must(t, err)
	r := &registry{certs: filepath.Join(dir, "certs"), files: filepath.Join(dir, "files")}
	must(t, os.MkdirAll(r.certs, 0o755))

	// One certificate for both ends: the proxy's own, which is made for 127.0.0.1.
	front := httptest.NewUnstartedServer(nil)
	front.StartTLS()
	t.Cleanup(front.Close)
	r.addr = front.Listener.Addr().String()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	key, err := x509.MarshalPKCS8PrivateKey(front.TLS.Certificates[0].PrivateKey)
	must(t, err)
	behind := freePort(t)
	for name, text := range map[string]string{
		"certs/ca.crt":       string(cert),
		"key.pem":            string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"htpasswd":           registryLogin,
		"client/config.json": fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.addr, base64.StdEncoding.EncodeToString([]byte(registryUser+":"+registryPass))),
		"config.yml": fmt.Sprintf(`version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
auth: {htpasswd: {realm: here, path: %q}}
http: {addr: %q, tls: {certificate: %q, key: %q}}
`, r.files, filepath.Join(dir, "htpasswd"), behind, filepath.Join(r.certs, "ca.crt"), filepath.Join(dir, "key.pem")),
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	r.env = []string{"DOCKER_CONFIG=" + filepath.Join(dir, "client"), "SSL_CERT_FILE=" + filepath.Join(r.certs, "ca.crt"),
		"REGISTRY_AUTH_FILE=" + filepath.Join(dir, "client", "config.json")}

	cmd := exec.Command("docker-registry", "serve", filepath.Join(dir, "config.yml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log := newLines()
	cmd.Stdout, cmd.Stderr = log, log
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The death signal comes when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	must(t, <-started)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the registry's last words: %s", log.tail(20))
		}
	})
	waitFor(t, behind, log)
	front.Config.Handler = r.proxy(behind, front)
	return r
}

// proxy hands everything on and writes down what it was.
func (r *registry) proxy(behind string, front *httptest.Server) http.Handler {
	to := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "https", Host: behind})
			p.Out.Host = p.In.Host // the registry names itself by it in the addresses that it gives
		},
		Transport: front.Client().Transport,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := &counted{ReadCloser: q.Body}
		q.Body = body
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		to.ServeHTTP(answer, q)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, request{q.Method, q.URL.Path, body.n, answer.status})
	})
}

type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets streams be flushed.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// taken gives what reached the registry since the last time.
func (r *registry) taken() requests {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.seen
	r.seen = nil
	return out
}

type requests []request

// sent is how many bytes travelled to the registry, and in how many bodies those of blobs were.
func (rs requests) sent() (bytes int64, blobs int) {
	for _, r := range rs {
		bytes += r.sent
		if strings.Contains(r.path, "/blobs/uploads/") && r.method == http.MethodPut && r.status == http.StatusCreated {
			blobs++
		}
	}
	return bytes, blobs
}

// String tells the requests, without the random parts of their addresses.
func (rs requests) String() string {
	var out []string
	for _, r := range rs {
		path := r.path
		if i := strings.Index(path, "/uploads/"); i > 0 {
			path = path[:i+len("/uploads/")] + "…"
		}
		out = append(out, fmt.Sprintf("%d %s %s %d bytes", r.status, r.method, path, r.sent))
	}
	return strings.Join(out, "\n")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func waitFor(t *testing.T, addr string, log *lines) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens at %s: %v\n%s", addr, err, log.tail(20))
		}
	}
}

// pushed brings the image to a registry, again, and after a change, and gets it back.
func (w *world) pushed(t *testing.T) {
	r := w.newRegistry(t)
	p := w.first
	p.env = append(slices.Clone(p.env), r.env...)
	repo := r.addr + "/forge/miniature"

	stranger := w.first // knows the certificate, but no password
	stranger.env = append(slices.Clone(stranger.env), "SSL_CERT_FILE="+filepath.Join(r.certs, "ca.crt"), "DOCKER_CONFIG="+w.dir)
	refused := stranger.start(t, "image", miniature, "--push", repo+":v1").wait(2 * time.Minute)
	if refused.code != 1 || !strings.Contains(refused.stderr, r.addr) {
		t.Errorf("a push without a password ended with code %d: %s", refused.code, refused.stderr)
	}
	r.taken()

	digest, o := p.image(t, "--push", repo+":v1")
	first := r.taken()
	bytes, blobs := first.sent()
	t.Logf("first push: %d requests, %d blobs, %.1f MB; %s", len(first), blobs, float64(bytes)/1e6, o)
	w.inRegistry(t, r, repo, "v1", digest)

	again, o := p.image(t, "--push", repo+":v1")
	seen := r.taken()
	if bytes, blobs := seen.sent(); again != digest || blobs != 0 || bytes > 64<<10 {
		t.Errorf("the second push of the same sends %d blobs, %d bytes:\n%s", blobs, bytes, seen)
	}
	t.Logf("second push: %d requests; %s", len(seen), o)

	w.pushedChange(t, p, r, repo, digest)
	w.pushedElsewhere(t, p, r, digest)
}

// inRegistry looks at what the registry has, with skopeo.
func (w *world) inRegistry(t *testing.T, r *registry, repo, tag, digest string) {
	t.Helper()
	said := tool(t, r.env, "skopeo", "inspect", "--cert-dir", r.certs, "--format", "{{.Digest}}", "docker://"+repo+":"+tag)
	if strings.TrimSpace(said) != digest {
		t.Errorf("the registry has %s as %s, want %s", said, tag, digest)
	}
	back := filepath.Join(w.dir, "pulled-"+tag)
	tool(t, r.env, "skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests", "--src-cert-dir", r.certs, "docker://"+repo+"@"+digest, "oci:"+back)
	if got := oneImage(t, back); got != digest {
		t.Errorf("pulled by digest it is %s, want %s", got, digest)
	}
}

// pushedChange changes a line: one small layer, the config and the manifest travel.
func (w *world) pushedChange(t *testing.T, p person, r *registry, repo, before string) {
	undo := w.edit(t, "authentik/core/views.py", fmt.Sprintf("PUSHED = %d", time.Now().UnixNano()))
	defer undo()
	r.taken()
	layout := filepath.Join(w.dir, "changed")
	digest, o := p.image(t, "--push", repo+":v2", "--output", "oci:"+layout)
	seen := r.taken()
	bytes, blobs := seen.sent()
	t.Logf("a Python line changed: %d blobs, %d kB, %d requests; %s", blobs, bytes/1000, len(seen), o)
	if ran := of(o.started, "action"); len(ran) > 0 {
		t.Errorf("a changed Python line runs the actions %q", ran)
	}
	if digest == before {
		t.Error("a changed Python line does not change the image")
	}
	if blobs != 2 || bytes > 2<<20 {
		t.Errorf("%d blobs and %d bytes travel, want one small layer and the config:\n%s", blobs, bytes, seen)
	}
	m := readManifest(t, layout, digest)
	old := readManifest(t, filepath.Join(w.dir, "exports", "oci"), before)
	var fresh []descriptor
	for _, l := range m.Layers {
		if !slices.Contains(old.Layers, l) {
			fresh = append(fresh, l)
		}
	}
	if len(fresh) != 1 || len(m.Layers) != len(old.Layers) {
		t.Errorf("%d of %d layers are new: %v", len(fresh), len(m.Layers), fresh)
	}
	w.inRegistry(t, r, repo, "v2", digest)
}

// pushedElsewhere pushes to another repository of the registry, which has every blob already.
func (w *world) pushedElsewhere(t *testing.T, p person, r *registry, digest string) {
	r.taken()
	other := r.addr + "/forge/another"
	got, o := p.image(t, "--push", other+":v1")
	seen := r.taken()
	bytes, blobs := seen.sent()
	t.Logf("to another repository: %d blobs, %d kB, %d requests; %s", blobs, bytes/1000, len(seen), o)
	if got != digest || blobs > 1 || bytes > 64<<10 { // a config need not be mounted
		t.Errorf("%s, want %s; to another repository of the same registry %d blobs travel, %d bytes:\n%s", got, digest, blobs, bytes, seen)
	}
	w.inRegistry(t, r, other, "v1", digest)
}
