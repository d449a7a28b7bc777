package spec_test

import (
	"slices"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// good is an application with everything that can be said of one.
func good() spec.App {
	return spec.App{
		Name: "notes",
		Setup: []spec.Setup{
			{Name: "migrate", Root: "assembled", Command: []string{"ak", "migrate"}, After: []string{"postgres"}, StateDirs: map[string]string{"/media": "media"}},
		},
		Services: []spec.Service{
			{Name: "worker", Root: "assembled", Command: []string{"ak", "worker"}, After: []string{"migrate"}},
			{Name: "server", Root: "assembled", Command: []string{"ak", "server"}, Dir: "/web", After: []string{"migrate"}, Restart: true,
				Ready: spec.Probe{HTTP: "http://127.0.0.1:9000/-/health/ready/"}, Ports: []spec.Port{{Name: "http", Port: 9000}},
				StateDirs: map[string]string{"/media": "media"}, Tmpfs: []string{"/dev/shm"}},
			{Name: "postgres", Root: "postgres-root", Command: []string{"postgres"}, Ready: spec.Probe{Command: []string{"pg_isready"}},
				StateDirs: map[string]string{"/var/lib/postgresql": "database"}, Stop: spec.Stop{Signal: "INT"}},
		},
		State: []string{"database", "media"},
		Env:   map[string]string{"PGHOST": "127.0.0.1"},
		Ready: spec.Probe{HTTP: "http://127.0.0.1:9000/"},
		URL:   "http://127.0.0.1:9000/", Credentials: "user admin, password hewn",
	}
}

// problem is err as what Validate promises it to be.
func problem(err error) *diag.Problem {
	p, _ := err.(*diag.Problem)
	return p
}

func TestGoodApp(t *testing.T) {
	a := good()
	if p := a.Validate(); p != nil {
		t.Fatal(p)
	}
	if got, want := a.Order(), []string{"postgres", "migrate", "worker", "server"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestBadApps(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *spec.App)
		want   string
	}{
		{"no name", func(a *spec.App) { a.Name = "" }, "an application cannot be called ``"},
		{"no services", func(a *spec.App) { a.Services = nil }, "application `notes` has no services"},
		{"bad service name", func(a *spec.App) { a.Services[0].Name = "My Worker" }, "a service cannot be called `My Worker`"},
		{"name twice", func(a *spec.App) { a.Services[0].Name = "migrate" }, "application `notes` has two parts called `migrate`"},
		{"no root", func(a *spec.App) { a.Services[0].Root = "" }, "service `worker` has no root"},
		{"no command", func(a *spec.App) { a.Setup[0].Command = nil }, "setup `migrate` has no command"},
		{"bad directory", func(a *spec.App) { a.Services[1].Dir = "web/" }, "service `server` has its directory at `web/`, which is not an absolute clean path"},
		{"state at the root", func(a *spec.App) { a.Services[1].StateDirs = map[string]string{"/": "media"} }, "service `server` has a directory of its own at `/`, which is not an absolute clean path"},
		{"path twice", func(a *spec.App) { a.Services[1].Tmpfs = []string{"/media"} }, "service `server` has two directories at `/media`"},
		{"bad signal", func(a *spec.App) { a.Services[2].Stop.Signal = "KILL" }, "service `postgres` stops with signal `KILL`"},
		{"bad variable", func(a *spec.App) { a.Services[0].Env = map[string]string{"A=B": "c"} }, "service `worker` cannot have the environment variable \"A=B\""},
		{"bad variable of all", func(a *spec.App) { a.Env = map[string]string{"": "c"} }, "application `notes` cannot have the environment variable \"\""},
		{"unknown after", func(a *spec.App) { a.Services[0].After = []string{"redis"} }, "service `worker` comes after `redis`, which the application does not have"},
		{"cycle", func(a *spec.App) { a.Services[2].After = []string{"server"} }, "application `notes` cannot start: migrate, worker, server, postgres wait for each other"},
		{"undeclared state", func(a *spec.App) { a.State = []string{"database"} }, "setup `migrate` mounts the state directory `media`, which application `notes` does not declare"},
		{"unmounted state", func(a *spec.App) { a.State = append(a.State, "cache") }, "application `notes` declares the state directory `cache`, which nothing mounts"},
		{"state twice", func(a *spec.App) { a.State = append(a.State, "media") }, "application `notes` declares the state directory `media` twice"},
		{"bad port", func(a *spec.App) { a.Services[1].Ports[0].Port = 70000 }, "service `server` has the port 70000"},
		{"port twice", func(a *spec.App) { a.Services[0].Ports = []spec.Port{{Name: "x", Port: 9000}} }, "services `worker` and `server` both have the port 9000; they share one network"},
		{"port name twice", func(a *spec.App) { a.Services[0].Ports = []spec.Port{{Name: "http", Port: 1}} }, "services `worker` and `server` both have a port called `http`"},
		{"two probes", func(a *spec.App) { a.Services[2].Ready.TCP = "127.0.0.1:1" }, "service `postgres` has more than one way to find out whether it is ready"},
		{"bad tcp", func(a *spec.App) { a.Services[2].Ready = spec.Probe{TCP: "5432"} }, "service `postgres` probes the address `5432`"},
		{"bad http", func(a *spec.App) { a.Services[1].Ready.HTTP = "127.0.0.1:9000" }, "the probe of service `server` is `127.0.0.1:9000`"},
		{"negative time", func(a *spec.App) { a.Services[1].Ready.Within = -1 }, "service `server` probes with a negative time"},
		{"bad URL", func(a *spec.App) { a.URL = "ftp://x/" }, "the URL of application `notes` is `ftp://x/`"},
		{"command without root", func(a *spec.App) { a.Ready = spec.Probe{Command: []string{"x"}} }, "application `notes` probes with a command, which no root is given for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good()
			c.change(&a)
			p := problem(a.Validate())
			if p == nil || p.What != c.want || p.Kind != diag.BadInput || p.Code == "" {
				t.Errorf("%v\nwant %s", p, c.want)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	step := engine.Tree(tree.Empty).Step
	for _, c := range []struct {
		check spec.Check
		want  string
	}{
		{spec.Check{Name: "imports", Of: "python-deps", Doc: "every module imports", Step: step}, ""},
		{spec.Check{Name: "Imports", Of: "python-deps", Step: step}, "a check cannot be called `Imports`"},
		{spec.Check{Name: "imports", Step: step}, "check `imports` does not say which target it checks"},
		{spec.Check{Name: "imports", Of: "x"}, "check `imports` has nothing to run"},
		{spec.Check{Name: "imports", Of: "x", Step: step, Doc: "a\nb"}, "the description of check `imports` has more than one line"},
	} {
		p := problem(c.check.Validate())
		if got := map[bool]string{true: ""}[p == nil]; p != nil {
			got = p.What
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("valid, want %q", c.want)
		}
	}
}
