package registry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/testkit/ociregistry"
)

type problem struct {
	code string
	exit int
	text string // in the message
	hint string // in a hint or a detail
}

func wantProblem(t *testing.T, err error, want problem) {
	t.Helper()
	var p *diag.Problem
	if !errors.As(err, &p) {
		t.Fatalf("no problem but %v", err)
	}
	if p.Code != want.code || diag.ExitCode(err) != want.exit || !strings.Contains(err.Error(), want.text) {
		t.Errorf("[%s, exit %d] %v; want [%s, exit %d] with %q", p.Code, diag.ExitCode(err), err, want.code, want.exit, want.text)
	}
	if told := strings.Join(append(p.Hints, p.Detail...), "\n"); !strings.Contains(told, want.hint) {
		t.Errorf("hints and details:\n%s\nwant %q", told, want.hint)
	}
}

func TestRefusals(t *testing.T) {
	secured := ociregistry.Options{User: "ada", Password: "secret"}
	tokens := ociregistry.Options{User: "ada", Password: "secret", Bearer: true}
	for _, c := range []struct {
		name  string
		o     ociregistry.Options
		fault func(*ociregistry.Faults)
		cfg   func(*registry.Config)
		repo  string
		zstd  bool
		want  problem
	}{
		{name: "no credentials", o: secured, cfg: func(c *registry.Config) { c.Keychain = nil },
			want: problem{"registry-unauthorized", 1, "does not accept you", "no credentials for it were found"}},
		{name: "no credentials for a token", o: tokens, cfg: func(c *registry.Config) { c.Keychain = nil },
			want: problem{"registry-unauthorized", 1, "does not accept you", "log in with `docker login 127.0.0.1:"}},
		{name: "expired credentials", o: secured, cfg: func(c *registry.Config) { c.Keychain = keys{"ada", "old"} },
			want: problem{"registry-unauthorized", 1, "does not accept you", "have expired"}},
		{name: "expired credentials for a token", o: tokens, cfg: func(c *registry.Config) { c.Keychain = keys{"ada", "old"} },
			want: problem{"registry-unauthorized", 1, "does not accept you", "have expired"}},
		{name: "read-only", fault: func(f *ociregistry.Faults) { f.ReadOnly = true },
			want: problem{"registry-read-only", 1, "takes no push", "the registry that it mirrors"}},
		{name: "denied", o: tokens, fault: func(f *ociregistry.Faults) { f.Denied = true },
			want: problem{"registry-denied", 1, "does not let you push to `team/app`", "may not push there"}},
		{name: "rate limited for ever", fault: func(f *ociregistry.Faults) { f.Busy, f.RetryAfter = 1000, "1" },
			want: problem{"registry-rate-limit", 1, "is rate limited", "will not be sent again"}},
		{name: "down for ever", fault: func(f *ociregistry.Faults) { f.Failing = 1000 },
			want: problem{"registry-down", 1, "503", "push again later"}},
		{name: "claims blobs and never keeps them", fault: func(f *ociregistry.Faults) { f.Claims, f.Forgets = true, true },
			want: problem{"registry-lost-blobs", 1, "2 blobs that it claimed to have were sent again", "operator"}},
		{name: "forgets blobs", fault: func(f *ociregistry.Faults) { f.Forgets = true },
			want: problem{"registry-lost-blobs", 1, "every blob was sent", "operator"}},
		{name: "no zstd", zstd: true, fault: func(f *ociregistry.Faults) { f.RefuseZstd = true },
			want: problem{"registry-manifest", 1, "+zstd", "`--compression gzip`"}},
		{name: "corrupts what it gets", fault: func(f *ociregistry.Faults) { f.Corrupt = 1000 },
			want: problem{"registry-refused", 1, "DIGEST_INVALID", ""}},
		{name: "loses every session", fault: func(f *ociregistry.Faults) { f.LoseSessions = 1000 },
			want: problem{"registry-refused", 1, "BLOB_UPLOAD_UNKNOWN", ""}},
		{name: "a proxy that takes no bodies", fault: func(f *ociregistry.Faults) { f.BodyLimit = 1000 },
			want: problem{"registry-body", 1, "takes no request of this size", "client_max_body_size"}},
		{name: "every connection breaks", fault: func(f *ociregistry.Faults) { f.Cuts, f.CutAfter = 1000, 0 },
			want: problem{"registry-unreachable", 1, "EOF", "will not be sent again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := ociregistry.Start(t, c.o)
			if c.fault != nil {
				r.Set(c.fault)
			}
			b := newBuild(t)
			if c.zstd {
				b.mediaType = types.OCILayerZStd
			}
			cfg := config(r)
			cfg.ChunkSize = 10_000
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			_, err := registry.Push(context.Background(), cfg, b.layout(tarOf(t, 1, 20_000)), b.s, r.Host()+"/team/app:v1")
			wantProblem(t, err, c.want)
			if r.Tag("team/app", "v1") != "" {
				t.Error("there is a tag although the push failed")
			}
			for _, secret := range []string{"secret", "old", "state="} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the message has %q in it: %v", secret, err)
				}
			}
		})
	}
}

func TestNoRegistryThere(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<h1>Welcome</h1>"))
	}))
	defer page.Close()
	secure := ociregistry.Start(t, ociregistry.Options{TLS: true})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	b := newBuild(t)
	l := b.layout(tarOf(t, 1, 100))
	// What stands behind another name than a loopback one: the test leads its connections to a server here.
	elsewhere := func(addr string, roots *tls.Config) *http.Transport {
		return &http.Transport{TLSClientConfig: roots, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}}
	}
	for _, c := range []struct {
		name, host string
		t          *http.Transport
		want       problem
	}{
		{"404 everywhere", plain.Listener.Addr().String(), nil, problem{"registry-none", 1, "does not answer as a registry", "its port"}},
		{"a page for people", page.Listener.Addr().String(), nil, problem{"registry-none", 1, "does not answer as a registry", "its port"}},
		{"nobody", closed.Addr().String(), nil, problem{"registry-unreachable", 1, "connection refused", "nothing listens there"}},
		{"unknown authority", secure.Host(), nil, problem{"registry-certificate", 1, "signed by nobody whom this machine trusts", "SSL_CERT_FILE"}},
		{"certificate for another host", "registry.example:5000", elsewhere(secure.Host(), secure.Transport().TLSClientConfig),
			problem{"registry-certificate", 1, "is for another host", "the name that the certificate is for"}},
		{"plain HTTP elsewhere", "registry.example:5000", elsewhere(plain.Listener.Addr().String(), nil),
			problem{"registry-plain-http", 1, "speaks plain HTTP", "--plain registry.example:5000"}},
		{"plain HTTP at a private address", "10.0.0.1:5000", elsewhere(plain.Listener.Addr().String(), nil),
			problem{"registry-plain-http", 1, "speaks plain HTTP", "certificate"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := registry.Config{Transport: c.t, PlainHTTPHint: "allow it with `--plain %s`",
				Pause: func(context.Context, time.Duration) error { return nil }}
			_, err := registry.Push(context.Background(), cfg, l, b.s, c.host+"/team/app:v1")
			wantProblem(t, err, c.want)
		})
	}
	open := ociregistry.Start(t, ociregistry.Options{})
	cfg := registry.Config{Transport: elsewhere(open.Host(), nil), PlainHTTP: []string{"registry.example"}}
	if _, err := registry.Push(context.Background(), cfg, l, b.s, "registry.example:5000/team/app:v1"); err != nil {
		t.Errorf("a host that may be spoken to without TLS: %v", err)
	}
}

func TestReferences(t *testing.T) {
	for in, want := range map[string]string{
		"registry.example:5000/team/app:v1": "registry.example:5000/team/app:v1",
		"registry.example/app":              "registry.example/app:latest",
		"localhost/app:v1":                  "localhost/app:v1",
		"127.0.0.1:5000/a/b/c:1.2.3_x":      "127.0.0.1:5000/a/b/c:1.2.3_x",
		"[::1]:5000/app:v1":                 "[::1]:5000/app:v1",
		"app":                               "does not name its registry",
		"app:v1":                            "does not name its registry",
		"team/app:v1":                       "does not name its registry",
		"":                                  "does not name its registry",
		"registry.example":                  "does not name its registry",
		"registry.example/":                 "does not name its registry",
		"https://registry.example/app":      "is an address",
		"registry.example/App:v1":           "is not an image reference",
		"registry.example/app:":             "is not an image reference",
		"registry.example/app:a b":          "is not an image reference",
		"registry.example/app@sha256:12":    "is not an image reference",
	} {
		r, err := registry.ParseReference(in)
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), want) || diag.ExitCode(err) != 2 {
				t.Errorf("%q: %v, want %q", in, err, want)
			}
		case r.String() != want:
			t.Errorf("%q: %s, want %s", in, r, want)
		}
	}
}

// FuzzParseReference: what parses prints as something that parses to the same, and names its registry.
func FuzzParseReference(f *testing.F) {
	f.Add("registry.example:5000/team/app:v1")
	f.Add("registry.example/app@sha256:" + strings.Repeat("a", 64))
	f.Add("[::1]/a:b")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := registry.ParseReference(s)
		if err != nil {
			return
		}
		again, err := registry.ParseReference(r.String())
		if err != nil || again.String() != r.String() || again.Repository() != r.Repository() {
			t.Errorf("%q prints as %q, which parses to %q, %v", s, r, again, err)
		}
		if host, _, _ := strings.Cut(s, "/"); r.Registry() != host && !strings.HasSuffix(r.Registry(), host) {
			t.Errorf("%q goes to %q", s, r.Registry())
		}
	})
}
