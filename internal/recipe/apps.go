package recipe

import (
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/spec"
)

// appDecl is a declared application.
type appDecl struct {
	app *spec.App
	pos diag.Position // of the declaration
}

// serviceValue is what service(...) gives: a spec.Service that app(...) takes.
type serviceValue struct {
	*starlarkstruct.Struct
	s spec.Service
}

func (v *serviceValue) Type() string { return "service" }

// declService is service(name, command, target, env={}, cwd="/", as_root=False, after=[], once=False, ready_http="",
// ready_command=[], ready_timeout=0, restart=False, grace=0, signal="", tmpfs=[], state={}). Zero is hewn's own choice.
func declService(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s spec.Service
	var command, after, readyCommand, tmpfs *starlark.List
	var env, state *starlark.Dict
	var timeout, grace int
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &s.Name, "command", &command, "target", &s.Target,
		"env?", &env, "cwd?", &s.Dir, "as_root?", &s.AsRoot, "after?", &after, "once?", &s.Once,
		"ready_http?", &s.Ready.HTTP, "ready_command?", &readyCommand, "ready_timeout?", &timeout,
		"restart?", &s.Restart, "grace?", &grace, "signal?", &s.Signal, "tmpfs?", &tmpfs, "state?", &state); err != nil {
		return nil, err
	}
	var err error
	list := func(into *[]string, what string, l *starlark.List) {
		if err == nil {
			*into, err = strs(what, l)
		}
	}
	list(&s.Command, "command", command)
	list(&s.After, "after", after)
	list(&s.Ready.Command, "ready_command", readyCommand)
	list(&s.Tmpfs, "tmpfs", tmpfs)
	dict := func(into *map[string]string, what string, d *starlark.Dict) {
		if err == nil && d != nil {
			*into, err = strDict(what, d)
		}
	}
	dict(&s.Env, "env", env)
	dict(&s.State, "state", state)
	s.Ready.Timeout, s.Grace = time.Duration(timeout)*time.Second, time.Duration(grace)*time.Second
	if s.Dir == "" {
		s.Dir = "/"
	}
	return &serviceValue{starlarkstruct.FromStringDict(starlark.String("service"), nil), s}, err
}

// declApp is app(name, services, ports={}, url="", welcome="", secrets=[], run_target="", run_env={}, run_tmpfs=[]).
func (l *loader) declApp(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	a := &spec.App{}
	var services, secrets, tmpfs *starlark.List
	var ports, env *starlark.Dict
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &a.Name, "services", &services, "ports?", &ports,
		"url?", &a.URL, "welcome?", &a.Welcome, "secrets?", &secrets,
		"run_target?", &a.Run.Target, "run_env?", &env, "run_tmpfs?", &tmpfs); err != nil {
		return nil, err
	}
	for i := range services.Len() {
		s, ok := services.Index(i).(*serviceValue)
		if !ok {
			return nil, fmt.Errorf("services: element %d is %s, want a service", i+1, services.Index(i).Type())
		}
		a.Services = append(a.Services, s.s)
	}
	var err error
	if a.Secrets, err = strs("secrets", secrets); err != nil {
		return nil, err
	}
	if a.Run.Tmpfs, err = strs("run_tmpfs", tmpfs); err != nil {
		return nil, err
	}
	if env != nil {
		if a.Run.Env, err = strDict("run_env", env); err != nil {
			return nil, err
		}
	}
	a.Run.Dir = "/"
	if ports != nil {
		if a.Ports, err = appPorts(ports); err != nil {
			return nil, err
		}
	}
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if l.r.apps == nil {
		l.r.apps = map[string]*appDecl{}
	}
	if l.r.apps[a.Name] != nil {
		return nil, fmt.Errorf("the application `%s` is declared twice", a.Name)
	}
	l.r.apps[a.Name] = &appDecl{a, caller(th)}
	return starlark.None, nil
}

// appPorts reads {"http": 9000}: the port inside, which is also the one preferred on the host.
func appPorts(d *starlark.Dict) ([]spec.Port, error) {
	var out []spec.Port
	for _, item := range d.Items() {
		name, ok := starlark.AsString(item[0])
		n, err := starlark.AsInt32(item[1])
		if !ok || err != nil || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("ports: entry %s is not a number for a name", item[0])
		}
		out = append(out, spec.Port{Name: name, Inside: n, Host: n})
	}
	return out, nil
}
