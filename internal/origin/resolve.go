package origin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"hewn.example/hewn/internal/source"
)

// toolLimit bounds how long an installed tool may take to answer. npm, the slowest, needs about 0.4 s on an idle
// machine; a busy one takes several times that.
const toolLimit = 10 * time.Second

// Env is the machine as this package sees it: nothing is read but through it.
type Env struct {
	Getenv func(string) string
	FS     fs.FS  // rooted at /
	Home   string // absolute
	Dir    string // the workspace, absolute; may be empty
	// Run runs an installed tool and gives its standard output; it fails where there is no such tool. Where the tool
	// itself fails, the error is a *ToolError.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// ToolError is that of a tool which was run and failed.
type ToolError struct {
	Said string // to its error output
	Err  error
}

// Error is how the tool ended.
func (e *ToolError) Error() string { return e.Err.Error() }

// Unwrap gives how the tool ended.
func (e *ToolError) Unwrap() error { return e.Err }

// Config is what hewn.toml says on origins.
type Config struct {
	Mirrors     map[string][]string // by ecosystem
	MirrorsOnly bool
	NPMScopes   map[string]string // registries of npm for one scope ("@corp") alone
	GoPrivate   []string          // patterns of Go modules that are taken from their own repositories
}

// Resolver finds endpoints. It looks at most once for each ecosystem, and only when that is asked for.
type Resolver struct {
	cfg Config
	env Env

	mu    sync.Mutex
	found map[source.Ecosystem]*lookup
}

type lookup struct {
	once sync.Once
	eps  []Endpoint
	logs []string
}

// New makes a Resolver; nothing is read before the first question.
func New(cfg Config, env Env) *Resolver {
	return &Resolver{cfg: cfg, env: env, found: map[source.Ecosystem]*lookup{}}
}

// For gives the endpoints of eco in the order in which they are tried.
func (r *Resolver) For(ctx context.Context, eco source.Ecosystem) ([]Endpoint, error) {
	l := r.lookup(ctx, eco)
	return l.eps, nil
}

// Looked says where endpoints of eco were looked for and what was there, one line each, for `hewn doctor`.
func (r *Resolver) Looked(ctx context.Context, eco source.Ecosystem) []string {
	return r.lookup(ctx, eco).logs
}

func (r *Resolver) lookup(ctx context.Context, eco source.Ecosystem) *lookup {
	r.mu.Lock()
	l := r.found[eco]
	if l == nil {
		l = &lookup{}
		r.found[eco] = l
	}
	r.mu.Unlock()
	l.once.Do(func() {
		f := finder{env: r.env, ctx: context.WithoutCancel(ctx)}
		for _, u := range r.cfg.Mirrors[string(eco)] {
			f.add(u, "hewn.toml: mirror."+string(eco))
		}
		if private := strings.Join(r.cfg.GoPrivate, ","); eco == source.Go && private != "" {
			f.eps = append(f.eps, Endpoint{URL: Direct, From: "hewn.toml: go.private", Only: private})
			f.private = private
		}
		if !r.cfg.MirrorsOnly {
			f.find(eco)
		} else {
			f.logs = append(f.logs, `hewn.toml: origins = "mirrors-only", nothing else is asked`)
		}
		if eco == source.NPM {
			f.npmScopes(r.cfg)
			f.npmCredentials()
		}
		l.eps, l.logs = f.eps, f.logs
	})
	return l
}

// finder collects endpoints of one ecosystem.
type finder struct {
	ctx  context.Context
	env  Env
	eps  []Endpoint
	logs []string

	private string // patterns of Go modules that no proxy is asked for
}

// add keeps rawURL as an endpoint unless it is there already or is no usable address.
func (f *finder) add(rawURL, from string) {
	rawURL = strings.TrimRight(strings.TrimSpace(rawURL), "/")
	if rawURL == "" {
		return
	}
	u, err := url.Parse(rawURL)
	if err != nil { // it may hold a password, so it is not repeated
		f.logs = append(f.logs, from+": an address that cannot be read, left out")
		return
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" {
		f.logs = append(f.logs, from+": `"+u.Redacted()+"` is no http, https or file address, left out")
		return
	}
	if h := u.Hostname(); h == "example" || strings.HasSuffix(h, ".example") {
		f.logs = append(f.logs, from+": "+u.Redacted()+" is an identity, which is never dialled, left out")
		return
	}
	e := Endpoint{From: from}
	if u.User != nil {
		e.User = u.User.Username()
		e.Pass, _ = u.User.Password()
		u.User = nil
	}
	e.URL = u.String()
	f.logs = append(f.logs, from+": "+e.URL)
	if slices.ContainsFunc(f.eps, func(o Endpoint) bool { return o.URL == e.URL }) {
		return
	}
	f.eps = append(f.eps, e)
}

// env adds the value of a variable; split is applied to it.
func (f *finder) fromEnv(name string, split func(string) []string) {
	v := f.env.Getenv(name)
	if v == "" {
		return
	}
	for _, u := range split(v) {
		f.add(u, "environment "+name)
	}
}

func one(s string) []string { return []string{s} }

// read gives a file of the machine, or nil. name is absolute.
func (f *finder) read(name string) []byte {
	if f.env.FS == nil || !path.IsAbs(name) {
		return nil
	}
	st, err := fs.Stat(f.env.FS, name[1:])
	if err != nil || !st.Mode().IsRegular() || st.Size() > 16<<20 {
		return nil
	}
	b, err := fs.ReadFile(f.env.FS, name[1:])
	if err != nil {
		return nil
	}
	return b
}

// ask runs an installed tool.
func (f *finder) ask(name string, args ...string) string {
	if f.env.Run == nil {
		return ""
	}
	ctx, cancel := context.WithTimeoutCause(f.ctx, toolLimit, context.DeadlineExceeded)
	defer cancel()
	out, err := f.env.Run(ctx, name, args...)
	if err != nil {
		f.logs = append(f.logs, "`"+name+"`: no answer ("+err.Error()+")")
		return ""
	}
	return strings.TrimSpace(string(out))
}

// complaint is what a tool that fails writes to its error output.
func (f *finder) complaint(name string, args ...string) string {
	if f.env.Run == nil {
		return ""
	}
	ctx, cancel := context.WithTimeoutCause(f.ctx, toolLimit, context.DeadlineExceeded)
	defer cancel()
	_, err := f.env.Run(ctx, name, args...)
	var failed *ToolError
	if errors.As(err, &failed) {
		return failed.Said
	}
	f.logs = append(f.logs, fmt.Sprintf("`%s`: no answer (%v)", name, err))
	return ""
}

func (f *finder) find(eco source.Ecosystem) {
	switch eco {
	case source.PyPI:
		f.pypi()
	case source.NPM:
		f.npm()
	case source.Go:
		f.golang()
	case source.Debian:
		f.debian()
	case source.Maven:
		f.maven()
	case source.Crates:
		f.crates()
	}
}
