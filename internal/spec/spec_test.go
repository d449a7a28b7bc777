package spec_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
)

// notes is an application with everything that can be said of one.
func notes() *spec.App {
	in := func(target string) spec.Environment { return spec.Environment{Target: target, Dir: "/"} }
	data := in("database")
	data.State = map[string]string{"/var/lib/db": "db"}
	data.Tmpfs = []string{"/run/db"}
	return &spec.App{
		Name: "notes",
		Services: []spec.Service{
			{Name: "server", Command: []string{"serve"}, Environment: in("app"), After: []string{"migrate"}, Restart: true,
				Ready: spec.Ready{HTTP: "http://127.0.0.1:9000/ready"}},
			{Name: "migrate", Command: []string{"migrate"}, Environment: in("app"), After: []string{"db"}, Once: true},
			{Name: "db", Command: []string{"db"}, Environment: data, Ready: spec.Ready{Command: []string{"isready"}}, Signal: "INT"},
		},
		Ports: []spec.Port{{Name: "http", Inside: 9000, Host: 9000}},
	}
}

func TestValidate(t *testing.T) {
	if err := notes().Validate(); err != nil {
		t.Fatalf("a good application: %v", err)
	}
	if got := notes().Targets(); !slices.Equal(got, []string{"app", "database"}) {
		t.Errorf("targets %v", got)
	}
	for name, c := range map[string]struct {
		spoil func(*spec.App)
		key   string
		says  string
	}{
		"no name":        {func(a *spec.App) { a.Name = "" }, ".services", "needs a name"},
		"no services":    {func(a *spec.App) { a.Services = nil }, "notes.services", "at least one"},
		"name twice":     {func(a *spec.App) { a.Services[1].Name = "db" }, "notes.services", "twice"},
		"no target":      {func(a *spec.App) { a.Services[0].Target = "" }, "notes.server", "no target"},
		"no command":     {func(a *spec.App) { a.Services[0].Command = nil }, "notes.server", "no command"},
		"two probes":     {func(a *spec.App) { a.Services[0].Ready.Command = []string{"x"} }, "notes.server.ready", "not both"},
		"signal":         {func(a *spec.App) { a.Services[2].Signal = "KILL" }, "notes.db.signal", "KILL"},
		"once restarted": {func(a *spec.App) { a.Services[1].Restart = true }, "notes.migrate", "restarted"},
		"relative state": {func(a *spec.App) { a.Services[2].State = map[string]string{"db": "db"} }, "notes.db", "absolute"},
		"state escapes":  {func(a *spec.App) { a.Services[2].State = map[string]string{"/db": "../x"} }, "notes.db", "state directory"},
		"unclean tmpfs":  {func(a *spec.App) { a.Services[2].Tmpfs = []string{"/run/../x"} }, "notes.db", "clean"},
		"unknown after":  {func(a *spec.App) { a.Services[0].After = []string{"cache"} }, "notes.server.after", "`cache`"},
		"ring":           {func(a *spec.App) { a.Services[2].After = []string{"server"} }, "notes.services", "server -> migrate -> db -> server"},
		"port":           {func(a *spec.App) { a.Ports[0].Inside = 70000 }, "notes.ports", "range"},
	} {
		a := notes()
		c.spoil(a)
		err := a.Validate()
		var p *diag.Problem
		if !errors.As(err, &p) || p.Pos.Key != c.key || !strings.Contains(p.What, c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
