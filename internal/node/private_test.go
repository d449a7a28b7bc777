package node

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/plantest"
)

// registries are two in one process: /npm for everybody, /corp for who has the secret; tarballs of `moved` are on a
// host of their own, to which corp redirects.
type registries struct {
	srv, files *httptest.Server
	tarball    []byte
	mu         sync.Mutex
	seen       []string // path and credentials of each request
}

func newRegistries(t *testing.T) *registries {
	r := &registries{tarball: tgz(t, entry{name: "package/package.json", content: "{}"})}
	note := func(q *http.Request) string {
		r.mu.Lock()
		defer r.mu.Unlock()
		auth := q.Header.Get("Authorization")
		r.seen = append(r.seen, strings.TrimSpace(q.URL.Path+" "+auth))
		return auth
	}
	r.files = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		note(q)
		_, _ = w.Write(r.tarball)
	}))
	r.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		auth := note(q)
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:pass:word"))
		if strings.HasPrefix(q.URL.Path, "/corp/") && auth != "Bearer secret" && auth != basic {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		switch {
		case strings.Contains(q.URL.Path, "moved"):
			http.Redirect(w, q, r.files.URL+"/moved.tgz", http.StatusFound)
		case strings.HasSuffix(q.URL.Path, ".tgz"):
			_, _ = w.Write(r.tarball)
		default:
			dist := map[string]string{"shasum": fmt.Sprintf("%x", sha1.Sum(r.tarball)), "tarball": r.srv.URL + strings.TrimSuffix(q.URL.Path, "/1.0.0") + "/-/x-1.0.0.tgz"}
			_ = json.NewEncoder(w).Encode(map[string]any{"version": "1.0.0", "dist": dist})
		}
	}))
	t.Cleanup(r.srv.Close)
	t.Cleanup(r.files.Close)
	return r
}

// machine is what origins are found in: text of the user's .npmrc, in which REG is the registries' host.
func (r *registries) machine(npmrc string, cfg origin.Config) *origin.Resolver {
	npmrc = strings.ReplaceAll(npmrc, "REG", strings.TrimPrefix(r.srv.URL, "http://"))
	return origin.New(cfg, origin.Env{
		Getenv: func(k string) string { return map[string]string{"TOKEN": "secret"}[k] },
		FS:     fstest.MapFS{"home/u/.npmrc": {Data: []byte(npmrc)}}, Home: "/home/u", Dir: "/ws",
	})
}

func (r *registries) client() *fetch.Client {
	return &fetch.Client{HTTP: &http.Client{CheckRedirect: fetch.CheckRedirect}, Pause: func(context.Context, time.Duration) error { return nil }}
}

const npmrcScoped = "registry=http://REG/npm/\n@corp:registry=http://REG/corp/\n"

func TestPrivateRegistry(t *testing.T) {
	for _, c := range []struct{ name, npmrc, pkg, want, fails string }{
		{"token", npmrcScoped + "//REG/corp/:_authToken=${TOKEN}\n", "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz Bearer secret", ""},
		{"token of the host", npmrcScoped + "//REG/:_authToken=secret\n", "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz Bearer secret", ""},
		{"_auth", npmrcScoped + "//REG/corp/:_auth=bWU6cGFzczp3b3Jk\n", "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz Basic bWU6cGFzczp3b3Jk", ""},
		{"password", npmrcScoped + "//REG/corp/:username=me\n//REG/corp/:_password=cGFzczp3b3Jk\n", "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz Basic bWU6cGFzczp3b3Jk", ""},
		{"others do not get it", npmrcScoped + "//REG/corp/:_authToken=secret\n", "x", "/npm/x/-/x-1.0.0.tgz", ""},
		{"no credentials, and no other registry is asked", npmrcScoped, "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz", "401"},
		{"a variable that is not set", npmrcScoped + "//REG/corp/:_authToken=${NONE}\n", "@corp/x", "/corp/@corp/x/-/x-1.0.0.tgz", "401"},
		{"a redirect to another host", npmrcScoped + "//REG/corp/:_authToken=secret\n", "@corp/moved", "/corp/@corp/moved/-/x-1.0.0.tgz Bearer secret; /moved.tgz", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistries(t)
			f := fetch.New(fetch.Config{Store: memory.New(), Client: r.client(), Endpoints: r.machine(c.npmrc, origin.Config{}),
				Locators: map[source.Ecosystem]fetch.Locator{source.NPM: Locate}})
			d, err := f.Fetch(t.Context(), source.Artifact{Ecosystem: source.NPM, Name: c.pkg, Version: "1.0.0", File: "x-1.0.0.tgz",
				URL: "https://npm.example/" + c.pkg + "/-/x-1.0.0.tgz", Integrity: plantest.Integrity(r.tarball)})
			if got := strings.Join(r.seen, "; "); got != c.want {
				t.Errorf("asked for %s, want %s", got, c.want)
			}
			switch {
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("got %v, want %s", err, c.fails)
			case c.fails == "" && (err != nil || d != digest.Of(r.tarball)):
				t.Errorf("got %v, %v", d, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// An old hash is not trusted: what has it is pinned by a better one. What an address of its own has is read there.
func TestPinUnlocked(t *testing.T) {
	r := newRegistries(t)
	sum := source.Artifact{Ecosystem: source.NPM, Name: "@corp/x", Version: "1.0.0"}
	sum.Integrity, _ = source.ParseIntegrity(fmt.Sprintf("sha1:%x", sha1.Sum(r.tarball)))
	other := sum
	other.Integrity, _ = source.ParseIntegrity("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709")
	own := source.Artifact{Name: "remote", Version: "2.0.0", URL: r.files.URL + "/remote-main"}
	for _, c := range []struct {
		name, file, url, fails string
		a                      source.Artifact
		mirrorsOnly            bool
	}{
		{"nothing", "x-1.0.0.tgz", "", "", source.Artifact{Name: "@corp/x", Version: "1.0.0"}, false},
		{"sha1", "x-1.0.0.tgz", "", "", sum, false},
		{"another sha1", "", "", "is not what is locked", other, false},
		{"an address", "remote-2.0.0.tgz", own.URL, "", own, false},
		{"an address, mirrors only", "x-1.0.0.tgz", "", "", own, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := unlocked(c.a)
			res := Resolver{Getter: r.client(), Endpoints: r.machine(npmrcScoped+"//REG/corp/:_authToken=secret\n", origin.Config{}), MirrorsOnly: c.mirrorsOnly}
			as, err := res.Resolve(t.Context(), q)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("got %v, want %s", err, c.fails)
				}
				return
			}
			if err != nil || len(as) != 1 || as[0].Integrity != plantest.Integrity(r.tarball) || as[0].File != c.file || as[0].URL != c.url || as[0].Name != c.a.Name {
				t.Errorf("got %+v, %v", as, err)
			}
		})
	}
}
