package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"hewn.example/hewn/internal/debian"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/fetch/git"
	"hewn.example/hewn/internal/golang"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/maven"
	"hewn.example/hewn/internal/node"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/openapi"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/python"
	"hewn.example/hewn/internal/recipe"
	"hewn.example/hewn/internal/rust"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// shop is everything that one invocation works with on one place. It is the only wiring there is.
type shop struct {
	c       *command
	p       *place
	rec     *recipe.Recipe
	store   *disk.Store
	origins *origin.Resolver
	client  *fetch.Client
	git     *git.Git
	sources *sources
	engine  *engine.Engine
	sandbox *lazySandbox
	debian  *debian.Resolver // in an update
}

// openStore opens the store, or says what is wrong with its place.
func (c *command) openStore() (*disk.Store, error) {
	s, err := disk.Open(c.storeDir())
	if err != nil {
		return nil, diag.Environmentf("store-unusable", "cannot use the store `%s`", c.storeDir()).Because(err).
			Hint("name another place with --store or HEWN_STORE")
	}
	return s, nil
}

// with settles a reference, opens the store and calls f with both.
func (c *command) with(ref string, f func(*place, *disk.Store) error) error {
	p, err := c.refer(ref)
	if err != nil {
		return err
	}
	st, err := c.openStore()
	if err != nil {
		return err
	}
	defer st.Close()
	return f(p, st)
}

// open puts a shop together. with, if not nil, chooses the pins; else they are those of sources.lock.
func (c *command) open(p *place, st *disk.Store, with func(*shop) (pins.Pins, error)) (*shop, error) {
	rec, err := p.load()
	if err != nil {
		return nil, err
	}
	s := &shop{c: c, p: p, rec: rec, store: st}
	s.origins = c.newOrigins(p)
	s.client = c.newClient()
	s.git = git.New(git.Config{Store: st, Aliases: aliases(p), Env: c.gitEnv(), Offline: c.flags.offline, Cache: s.gitCache, Memory: st})
	s.sandbox = &lazySandbox{new: func() (*sandbox.Sandbox, error) { return s.newSandbox() }}
	var answers pins.Pins
	if with != nil {
		answers, err = with(s)
	} else {
		answers, err = p.lock()
	}
	if err != nil {
		return nil, err
	}
	s.sources = newSources(s, answers)
	s.engine, err = engine.New(engine.Config{
		Store: st, Executor: s.sandbox, Sources: s.sources, Pins: answers, Targets: rec.Plans(buildID()),
		Fetcher: fetch.New(fetch.Config{
			Store: st, Client: s.client, Endpoints: s.origins, Locators: locators(s.git), Git: s.git,
			MirrorsOnly: p.ws.Origins == "mirrors-only", Events: c.ui().Event, Pinned: p.pinnedBy,
			TempDir: func() (string, func(), error) { return st.TempDir(context.Background(), "fetch") },
		}),
		Natives: natives(), Traces: st, Locks: st, Platform: c.flags.plat, Events: c.ui().Event,
		Limits:    engine.Limits{Actions: cmp.Or(c.flags.jobs, p.ws.Limits.Actions), Fetches: p.ws.Limits.Fetches, Disk: p.ws.Limits.Disk},
		Workspace: p.ws.Dir, Recipe: p.ref,
		Advise: func(ctx context.Context, root tree.Tree, log io.Reader) []string {
			return debian.Hints(s.debianDir(), c.flags.plat, log, debian.Installed(ctx, st, root))
		},
		KeepGoing: c.flags.keepGoing, KeepFailed: c.flags.keepFailed, Paranoid: c.flags.paranoid,
	})
	return s, err
}

func (s *shop) close() {
	s.sandbox.close()
}

func natives() []engine.NativeDef {
	return slices.Concat(recipe.Natives(), debian.Natives(), python.Natives(), node.Natives(), golang.Natives(),
		rust.Natives(), maven.Natives(), openapi.Natives(), oci.Natives())
}

func locators(repos golang.Repositories) map[source.Ecosystem]fetch.Locator {
	return map[source.Ecosystem]fetch.Locator{
		source.Debian: debian.Locate,
		source.PyPI:   python.Locate,
		source.NPM:    node.Locate,
		source.Go:     golang.NewLocator(repos),
		source.Crates: rust.NewLocator(),
		source.Maven:  maven.Locate,
	}
}

// resolvers are what `hewn update` looks outside with; temp is for downloads that are only looked at.
func (s *shop) resolvers(temp string) (map[source.Ecosystem]pins.Resolver, error) {
	age, err := s.p.ws.Debian.MaxAge()
	if err != nil {
		return nil, err
	}
	s.debian = &debian.Resolver{Getter: s.client, Endpoints: s.origins, MaxIndexAge: age, Suites: s.p.ws.Debian.Suites,
		Now: s.c.sys.Now, Keyring: func() ([]byte, error) { return keyring(s.p.ws.Debian.Keyrings) }}
	return map[source.Ecosystem]pins.Resolver{
		source.Debian: s.debian,
		source.PyPI:   python.Resolver{Getter: s.client, Endpoints: s.origins, Notes: s.c.noteOnce(), MirrorsOnly: s.p.ws.Origins == "mirrors-only"},
		source.NPM:    node.Resolver{Getter: s.client, Endpoints: s.origins, MirrorsOnly: s.p.ws.Origins == "mirrors-only"},
		source.Go:     golang.Resolver{Getter: s.client, Endpoints: s.origins, TempDir: temp},
		source.Maven:  maven.Resolver{Getter: s.client, Endpoints: s.origins},
		source.Crates: rust.Resolver{Getter: s.client, Endpoints: s.origins},
		source.Git:    gitResolver{s.git},
	}, nil
}

// debianDir is where the lists of files of Debian's packages lie.
func (s *shop) debianDir() string { return filepath.Join(s.store.Dir(), "debian") }

// gitResolver finds the commits of git sources.
type gitResolver struct{ g *git.Git }

// Resolve answers a pins.GitQuestion.
func (r gitResolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	var repo, rev string
	for _, l := range q.Request {
		switch word, rest, _ := strings.Cut(l, " "); word {
		case "repo":
			repo = rest
		case "rev":
			rev = rest
		}
	}
	commit, err := r.g.Commit(ctx, repo, rev)
	if err != nil {
		return nil, err
	}
	return []source.Artifact{pins.GitAnswer(repo, rev, commit)}, nil
}

// newOrigins lets package origin look at this machine.
func (c *command) newOrigins(p *place) *origin.Resolver {
	cfg := origin.Config{Mirrors: map[string][]string{}, MirrorsOnly: p.ws.Origins == "mirrors-only", GoPrivate: p.ws.Go.Private}
	for eco, m := range p.ws.Mirror {
		cfg.Mirrors[eco] = m.URLs
	}
	cfg.NPMScopes = p.ws.Mirror[string(source.NPM)].Scopes
	return origin.New(cfg, origin.Env{Getenv: c.sys.getenv, FS: os.DirFS("/"), Home: c.sys.home(), Dir: p.ws.Dir,
		Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Env, cmd.Dir = c.sys.Environ, "/"
			out, err := cmd.Output()
			if failed := new(exec.ExitError); errors.As(err, &failed) {
				err = &origin.ToolError{Said: string(failed.Stderr), Err: err}
			}
			return out, err
		}})
}

// newClient makes the HTTP client that fetches.
func (c *command) newClient() *fetch.Client {
	return &fetch.Client{HTTP: &http.Client{Transport: c.newTransport(), CheckRedirect: fetch.CheckRedirect}, Offline: c.flags.offline,
		Credentials: netrc(filepath.Join(c.sys.home(), ".netrc"))}
}

// newTransport makes what HTTP goes through; proxies come from the environment as with other tools.
func (c *command) newTransport() *http.Transport {
	get := func(names ...string) string {
		for _, n := range names {
			if v := c.sys.getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	proxy := (&httpproxy.Config{HTTPProxy: get("HTTP_PROXY", "http_proxy"), HTTPSProxy: get("HTTPS_PROXY", "https_proxy"),
		NoProxy: get("NO_PROXY", "no_proxy")}).ProxyFunc()
	return &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
	}
}

// newRegistry is how images are pushed: with what Docker and podman know of the user's credentials.
func (c *command) newRegistry(p *place, st *disk.Store) registry.Config {
	return registry.Config{
		Keychain:  &registry.Credentials{Files: registry.CredentialFiles(c.sys.getenv, c.sys.home()), Helper: c.credentialHelper},
		PlainHTTP: p.ws.Registry.PlainHTTP, PlainHTTPHint: "if it speaks plain HTTP, add to hewn.toml: [registry] plain-http = [\"%s\"]",
		MountFrom: p.ws.Registry.MountFrom, Transport: c.newTransport(), Sessions: st, Jitter: rand.Float64,
	}
}

// credentialHelper runs one of Docker's credential helpers.
func (c *command) credentialHelper(ctx context.Context, program, server string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Env, cmd.Stdin = c.sys.Environ, strings.NewReader(server)
	out := &atMost{left: 1 << 20}
	cmd.Stdout = out
	err := cmd.Run()
	return out.Bytes(), err // a helper that knows nothing says so on stdout, and fails
}

// atMost keeps what is written to it, up to a limit, and fails beyond.
type atMost struct {
	bytes.Buffer
	left int
}

func (w *atMost) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("it says too much")
	}
	return w.Buffer.Write(p)
}

func aliases(p *place) map[string][]string {
	out := map[string][]string{}
	for name, a := range p.ws.Alias {
		out[name] = a.URLs
	}
	return out
}

// gitEnv is what git may see of the caller's environment: how to log in, how to get out, and whom to trust.
func (c *command) gitEnv() []string {
	var out []string
	for _, kv := range c.sys.Environ {
		k, _, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(k) {
		case "HOME", "PATH", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR",
			"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "XDG_CONFIG_HOME":
			out = append(out, kv)
		}
	}
	return out
}

// maxKeyring bounds all keyrings together; those of Debian have 200 kB.
const maxKeyring = 16 << 20

// keyring reads the keys that may sign a Debian index: those that hewn.toml names, else Debian's own as the machine has
// them. What other vendors have put beside them is not trusted: such a key could sign anything as Debian's.
func keyring(files []string) ([]byte, error) {
	if len(files) == 0 {
		for _, pattern := range []string{"/usr/share/keyrings/debian-archive-*", "/etc/apt/trusted.gpg.d/debian-archive-*"} {
			found, _ := filepath.Glob(pattern)
			files = append(files, found...)
		}
		files = slices.DeleteFunc(files, func(f string) bool { return strings.Contains(filepath.Base(f), "removed-keys") })
	}
	var all bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, diag.Inputf("keyring", "cannot read the keyring `%s`", f).Because(err)
		}
		if all.Write(debian.Dearmor(b)); all.Len() > maxKeyring {
			return nil, diag.Inputf("keyring", "the keyrings have more than %d bytes", maxKeyring)
		}
	}
	if all.Len() == 0 {
		return nil, diag.Environmentf("keyring", "there are no keys to check Debian's index with").
			Hint("install the package debian-archive-keyring, or name a keyring in hewn.toml: [debian] keyrings = [\"…\"]")
	}
	return all.Bytes(), nil
}

// lazySandbox starts the sandbox's server at the first action, which most runs never come to.
type lazySandbox struct {
	new  func() (*sandbox.Sandbox, error)
	once sync.Once
	box  *sandbox.Sandbox
	err  error
}

func (l *lazySandbox) get() (*sandbox.Sandbox, error) {
	l.once.Do(func() { l.box, l.err = l.new() })
	return l.box, l.err
}

// Execute runs an action.
func (l *lazySandbox) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	box, err := l.get()
	if err != nil {
		return nil, err
	}
	return box.Execute(ctx, r)
}

// Open opens a session.
func (l *lazySandbox) Open(ctx context.Context, name string) (executor.Session, error) {
	box, err := l.get()
	if err != nil {
		return nil, err
	}
	return box.Open(ctx, name)
}

func (l *lazySandbox) close() {
	l.once.Do(func() { l.err = fmt.Errorf("the sandbox is closed") })
	if l.box != nil {
		_ = l.box.Close()
	}
}

func (s *shop) newSandbox() (*sandbox.Sandbox, error) {
	dir := filepath.Join(s.store.Dir(), "sandbox")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return sandbox.New(sandbox.Config{Store: s.store, Views: s.store, TempDir: dir, Roots: []string{filepath.Join(s.store.Dir(), "views")}})
}

// netrc reads credentials by host from a file in the format of ftp(1), which curl, git, pip and Go read as well.
func netrc(file string) func(host string) (user, pass string) {
	type login struct{ user, pass string }
	logins := sync.OnceValue(func() map[string]login {
		m := map[string]login{}
		b, err := os.ReadFile(file)
		if err != nil || len(b) > 1<<20 {
			return m
		}
		host := ""
		words := strings.Fields(string(b))
		for i := 0; i+1 < len(words); i++ {
			l := m[host]
			switch words[i] {
			case "machine":
				host = words[i+1]
				l = m[host]
			case "login":
				l.user = words[i+1]
			case "password":
				l.pass = words[i+1]
			default:
				continue
			}
			m[host] = l
			i++
		}
		delete(m, "")
		return m
	})
	return func(host string) (string, string) {
		l := logins()[host]
		return l.user, l.pass
	}
}

// gitCache is a private bare repository of the store, which one process at a time has.
func (s *shop) gitCache(key string) (string, func(), error) {
	unlock, err := s.store.Lock(context.Background(), "git/"+key)
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(s.store.Dir(), "git", key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}
