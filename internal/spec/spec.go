// Package spec is what recipes describe and upper layers carry out: applications with their services, as values.
package spec

import (
	"path"
	"slices"
	"strings"
	"time"

	"hewn.example/hewn/internal/diag"
)

// App is an application that `hewn up` starts: services over the roots of targets, in one private network.
type App struct {
	Name     string
	Services []Service // in the order in which they are declared; After decides in which they start
	Ports    []Port    // what is shown on the host's loopback
	// URL is the path of the first page, below the address of the first port: "/if/admin/".
	URL string
	// Welcome is said once everything is ready; {url} and {secret:NAME} are filled in.
	Welcome string
	// Secrets are made at random for a new state directory and kept there; environments refer to them as {secret:NAME}.
	Secrets []string
	// Run is the environment of `hewn run`, in which a command is started without the services.
	Run Environment
}

// Environment is where a command finds itself.
type Environment struct {
	Target string // the target whose tree is the root
	Env    map[string]string
	Dir    string
	AsRoot bool
	Tmpfs  []string          // absolute paths that get an empty tmpfs
	State  map[string]string // absolute path in the root -> name of a directory of the state, which survives
}

// Service is a process that runs while the application is up, or, if Once, has to end well before those after it start.
type Service struct {
	Name    string
	Command []string
	Environment
	After   []string // services that must be ready (or, if Once, done) before
	Once    bool
	Ready   Ready
	Restart bool          // start it again when it ends
	Grace   time.Duration // between SIGTERM and SIGKILL; 0 means 10 s
	Signal  string        // what asks it to end: "TERM" (default), "INT", "QUIT"
}

// Ready says how it shows that a service is ready. The zero value means as soon as it runs.
type Ready struct {
	HTTP    string   // address inside ("http://127.0.0.1:9000/-/health/ready/") that answers with a 2xx
	Command []string // a command in the service's environment that exits with 0
	Timeout time.Duration
}

// Port shows a port inside on the host's loopback.
type Port struct {
	Name   string
	Inside int // port on the session's loopback
	Host   int // preferred port of the host; another is taken where it is in use
}

// Validate says what is wrong with an application, naming the service and the field.
func (a *App) Validate() error {
	bad := func(where, format string, args ...any) error {
		return diag.Inputf("bad-app", format, args...).At(diag.Position{Key: a.Name + "." + where})
	}
	if a.Name == "" || len(a.Services) == 0 {
		return bad("services", "an application needs a name and at least one service")
	}
	names := make([]string, 0, len(a.Services))
	for _, s := range a.Services {
		if s.Name == "" || slices.Contains(names, s.Name) {
			return bad("services", "the name `%s` of a service is empty or stands twice", s.Name)
		}
		names = append(names, s.Name)
	}
	for _, s := range a.Services {
		if err := s.validate(names, bad); err != nil {
			return err
		}
	}
	for _, p := range a.Ports {
		if p.Inside < 1 || p.Inside > 65535 || p.Host < 0 || p.Host > 65535 {
			return bad("ports", "port `%s` is out of range", p.Name)
		}
	}
	if c := a.cycle(); c != nil {
		return bad("services", "services wait for each other: %s", strings.Join(c, " -> "))
	}
	return nil
}

func (s *Service) validate(names []string, bad func(string, string, ...any) error) error {
	switch {
	case s.Target == "":
		return bad(s.Name, "the service has no target to run in")
	case len(s.Command) == 0 || s.Command[0] == "":
		return bad(s.Name, "the service has no command")
	case s.Ready.HTTP != "" && len(s.Ready.Command) > 0:
		return bad(s.Name+".ready", "a service is ready by an address or by a command, not both")
	case !slices.Contains([]string{"", "TERM", "INT", "QUIT"}, s.Signal):
		return bad(s.Name+".signal", "`%s` is none of TERM, INT, QUIT", s.Signal)
	case s.Once && s.Restart:
		return bad(s.Name, "a service that runs once cannot be restarted")
	}
	for _, p := range slices.Concat(s.Tmpfs, keys(s.State)) {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return bad(s.Name, "`%s` is not an absolute clean path below /", p)
		}
	}
	for _, n := range s.State {
		if n == "" || strings.ContainsAny(n, "/\x00") || n == "." || n == ".." {
			return bad(s.Name, "`%s` is not a name for a state directory", n)
		}
	}
	for _, n := range s.After {
		if !slices.Contains(names, n) {
			return bad(s.Name+".after", "there is no service `%s`", n)
		}
	}
	return nil
}

func keys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// cycle gives services that wait for each other in a ring, or nil.
func (a *App) cycle() []string {
	after := map[string][]string{}
	for _, s := range a.Services {
		after[s.Name] = s.After
	}
	var visit func(name string, trail []string) []string
	done := map[string]bool{}
	visit = func(name string, trail []string) []string {
		if i := slices.Index(trail, name); i >= 0 {
			return append(slices.Clone(trail[i:]), name)
		}
		if done[name] {
			return nil
		}
		for _, n := range after[name] {
			if c := visit(n, append(trail, name)); c != nil {
				return c
			}
		}
		done[name] = true
		return nil
	}
	for _, s := range a.Services {
		if c := visit(s.Name, nil); c != nil {
			return c
		}
	}
	return nil
}

// Targets names the targets that the application's roots come from, each once, in the order of first use.
func (a *App) Targets() []string {
	var out []string
	for _, s := range a.Services {
		if !slices.Contains(out, s.Target) {
			out = append(out, s.Target)
		}
	}
	return out
}
