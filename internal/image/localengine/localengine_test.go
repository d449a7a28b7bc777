package localengine_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/image/localengine"
)

// engine is a container engine on a Unix socket. answer is what it writes when it has read the archive; files are the
// names that it found.
type engine struct {
	socket string
	files  []string
	path   string
}

func startEngine(t *testing.T, podman bool, status int, answer string) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "eng") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &engine{socket: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if podman {
			w.Header().Set("Libpod-Api-Version", "4.3.1")
		}
		_, _ = w.Write([]byte("OK"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		e.path = r.URL.RequestURI()
		if status == http.StatusOK {
			for tr := tar.NewReader(r.Body); ; {
				h, err := tr.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				e.files = append(e.files, h.Name)
			}
			_, _ = io.Copy(io.Discard, r.Body)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	})
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	s.Start()
	t.Cleanup(s.Close)
	return e
}

func (e *engine) endpoint() localengine.Endpoint {
	return localengine.Endpoint{Address: "unix://" + e.socket, From: "the test"}
}

func archive(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, name := range []string{"manifest.json", "layer.tar"} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1 << 20}); err != nil {
			return err
		}
		if _, err := tw.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	return tw.Close()
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name, answer, engine, loaded string
		podman                       bool
	}{
		{"Docker with a name", `{"stream":"Loaded image: team/app:v1\n"}` + "\r\n", "Docker", "team/app:v1", false},
		{"Docker without a name", "{\"status\":\"Loading\"}\n{\"stream\":\"Loaded image ID: sha256:1234\\n\"}\n", "Docker", "sha256:1234", false},
		{"podman", `{"stream":"Loaded image: localhost/app:v1\n"}`, "podman", "localhost/app:v1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startEngine(t, c.podman, http.StatusOK, c.answer)
			nobody := localengine.Endpoint{Address: "unix:///nonexistent/docker.sock", From: "the test"}
			r, err := localengine.Load(context.Background(), []localengine.Endpoint{nobody, e.endpoint()}, archive)
			if err != nil {
				t.Fatal(err)
			}
			if r.Engine != c.engine || !slices.Equal(r.Loaded, []string{c.loaded}) || r.Address != "unix://"+e.socket {
				t.Errorf("%+v", r)
			}
			if !slices.Equal(e.files, []string{"manifest.json", "layer.tar"}) || e.path != "/v1.41/images/load?quiet=1" {
				t.Errorf("the engine got %q at %s", e.files, e.path)
			}
		})
	}
}

func TestLoadFails(t *testing.T) {
	disk := errors.New("the store is gone")
	for _, c := range []struct {
		name   string
		status int
		answer string
		write  func(io.Writer) error
		want   string
		hint   string
	}{
		{"an error in the stream", 200, `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`, archive,
			"Docker does not load the image: no space left on device", "docker image prune"},
		{"no zstd", 200, `{"error":"unsupported compression: zstd"}`, archive, "unsupported compression", "--compression gzip"},
		{"refused before the archive was read", 500, `{"message":"read-only file system"}`, archive, "500 Internal Server Error: read-only file system", ""},
		{"no engine's words", 200, "<html>", archive, "not that of an engine", ""},
		{"the archive cannot be written", 200, "", func(w io.Writer) error { _, _ = w.Write(make([]byte, 600)); return disk }, "the store is gone", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startEngine(t, false, c.status, c.answer)
			_, err := localengine.Load(context.Background(), []localengine.Endpoint{e.endpoint()}, c.write)
			if err == nil || !strings.Contains(err.Error(), c.want) || diag.ExitCode(err) != 1 {
				t.Fatalf("%v, want %q", err, c.want)
			}
			var p *diag.Problem
			if c.hint != "" && (!errors.As(err, &p) || !strings.Contains(strings.Join(p.Hints, "\n"), c.hint)) {
				t.Errorf("no hint %q: %v", c.hint, err)
			}
		})
	}
}

func TestNoEngine(t *testing.T) {
	silent := httptest.NewServer(http.NotFoundHandler())
	defer silent.Close()
	_, err := localengine.Load(context.Background(), []localengine.Endpoint{
		{Address: "unix:///nonexistent/docker.sock", From: "Docker"},
		{Address: "tcp://" + silent.Listener.Addr().String(), From: "`DOCKER_HOST`"},
		{Address: "ssh://user@build.example", From: "`DOCKER_HOST`"},
	}, archive)
	var p *diag.Problem
	if !errors.As(err, &p) || diag.ExitCode(err) != 3 {
		t.Fatalf("%v", err)
	}
	told := strings.Join(p.Detail, "\n")
	for _, want := range []string{"unix:///nonexistent/docker.sock (Docker): ", "no such file or directory", "404", "does not speak `ssh://`"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in what was tried:\n%s", want, told)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("interrupted"))
	if _, err := localengine.Load(ctx, []localengine.Endpoint{{Address: "unix:///nonexistent/s"}}, archive); err == nil || err.Error() != "interrupted" {
		t.Errorf("an ended load gives %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	home := t.TempDir()
	id := sha256.Sum256([]byte("colima"))
	meta := filepath.Join(home, ".docker", "contexts", "meta", hex.EncodeToString(id[:]))
	if err := os.MkdirAll(meta, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(meta, "meta.json"), []byte(`{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima.sock"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	usual := []string{"unix:///run/user/7/docker.sock", "unix://" + home + "/.docker/run/docker.sock", "unix:///var/run/docker.sock",
		"unix:///run/user/7/podman/podman.sock", "unix:///run/podman/podman.sock"}
	for _, c := range []struct {
		name   string
		env    map[string]string
		config string
		want   []string
		certs  string
	}{
		{"nothing chosen", nil, "", usual, ""},
		{"DOCKER_HOST", map[string]string{"DOCKER_HOST": "unix:///x.sock", "DOCKER_CONTEXT": "colima"}, "", []string{"unix:///x.sock"}, ""},
		{"DOCKER_HOST without a scheme", map[string]string{"DOCKER_HOST": "127.0.0.1:2375"}, "", []string{"tcp://127.0.0.1:2375"}, ""},
		{"DOCKER_HOST with TLS", map[string]string{"DOCKER_HOST": "tcp://build.example:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, "", []string{"tcp://build.example:2376"}, "/certs"},
		{"DOCKER_CONTEXT", map[string]string{"DOCKER_CONTEXT": "colima"}, "", []string{"unix:///colima.sock"}, ""},
		{"the chosen context", nil, `{"currentContext":"colima"}`, []string{"unix:///colima.sock"}, ""},
		{"a context that is gone", nil, `{"currentContext":"gone"}`, usual, ""},
		{"a broken configuration", nil, `{`, usual, ""},
		{"podman's own variable", map[string]string{"CONTAINER_HOST": "unix:///p.sock"}, "", []string{"unix:///p.sock"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			getenv := func(k string) string {
				if k == "XDG_RUNTIME_DIR" {
					return "/run/user/7"
				}
				return c.env[k]
			}
			var got []string
			for _, e := range localengine.Endpoints(getenv, home) {
				got = append(got, e.Address)
				if e.CertDir != c.certs || e.From == "" {
					t.Errorf("%+v, want certificates from %q", e, c.certs)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s", fmt.Sprintf("%q\nwant %q", got, c.want))
			}
		})
	}
}
