package spec

import (
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
)

// nameForm is what names of applications, services, setups, state directories, ports and checks look like: they stand in
// host names, in paths and on command lines.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func checkName(what, name string) *diag.Problem {
	if nameForm.MatchString(name) {
		return nil
	}
	return diag.Inputf("bad-name", "%s cannot be called `%s`", what, name).
		Hint("use lower-case letters, digits and `-`, beginning and ending with a letter or digit, at most 63")
}

// Validate says what is wrong with the application by itself, as a *diag.Problem; nil if nothing is. That the targets
// exist, only the recipe can say.
func (a App) Validate() error {
	if p := a.validate(); p != nil {
		return p
	}
	return nil
}

func (a App) validate() *diag.Problem {
	if p := checkName("an application", a.Name); p != nil {
		return p
	}
	if len(a.Services) == 0 {
		return diag.Inputf("app-empty", "application `%s` has no services", a.Name)
	}
	parts := a.parts()
	known := map[string]bool{}
	for _, p := range parts {
		if problem := checkName("a "+p.what, p.name); problem != nil {
			return problem
		}
		if known[p.name] {
			return diag.Inputf("name-twice", "application `%s` has two parts called `%s`", a.Name, p.name)
		}
		known[p.name] = true
	}
	for _, p := range parts {
		if problem := p.validate(); problem != nil {
			return problem
		}
		for _, name := range p.after {
			if !known[name] {
				return diag.Inputf("unknown-name", "%s comes after `%s`, which the application does not have", p, name).
					Hint("it has %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			}
		}
	}
	if p := a.validateState(parts); p != nil {
		return p
	}
	if p := a.validatePorts(); p != nil {
		return p
	}
	if _, p := order(a.Name, parts); p != nil {
		return p
	}
	if p := validateEnv("application `"+a.Name+"`", a.Env); p != nil {
		return p
	}
	if a.URL != "" {
		if p := validateURL("the URL of application `"+a.Name+"`", a.URL); p != nil {
			return p
		}
	}
	if len(a.Ready.Command) > 0 {
		return diag.Inputf("bad-probe", "application `%s` probes with a command, which no root is given for", a.Name).
			Hint("give the probe to a service")
	}
	return a.Ready.validate("application `" + a.Name + "`")
}

// Order is the names of all setups and services, each after everything that it comes after, otherwise as they stand in
// the application: setups first. The application is valid.
func (a App) Order() []string {
	names, _ := order(a.Name, a.parts())
	return names
}

// part is what services and setups have in common.
type part struct {
	what, name, root, dir string
	command, after, tmpfs []string
	env                   map[string]string
	state                 map[string]string
	ready                 Probe
	stop                  Stop
}

func (p part) String() string { return p.what + " `" + p.name + "`" }

func (a App) parts() []part {
	var parts []part
	for _, s := range a.Setup {
		parts = append(parts, part{what: "setup", name: s.Name, root: s.Root, dir: s.Dir, command: s.Command, after: s.After,
			tmpfs: s.Tmpfs, env: s.Env, state: s.StateDirs})
	}
	for _, s := range a.Services {
		parts = append(parts, part{what: "service", name: s.Name, root: s.Root, dir: s.Dir, command: s.Command, after: s.After,
			tmpfs: s.Tmpfs, env: s.Env, state: s.StateDirs, ready: s.Ready, stop: s.Stop})
	}
	return parts
}

func (p part) validate() *diag.Problem {
	if p.root == "" {
		return diag.Inputf("root-missing", "%s has no root", p).Hint("name the target whose tree serves as its `/`")
	}
	if len(p.command) == 0 || p.command[0] == "" {
		return diag.Inputf("command-missing", "%s has no command", p)
	}
	if p.dir != "" && !cleanPath(p.dir) {
		return badPath(p, "its directory", p.dir)
	}
	taken := map[string]bool{}
	for _, at := range append(slices.Sorted(maps.Keys(p.state)), p.tmpfs...) {
		if !cleanPath(at) || at == "/" {
			return badPath(p, "a directory of its own", at)
		}
		if taken[at] {
			return diag.Inputf("path-twice", "%s has two directories at `%s`", p, at)
		}
		taken[at] = true
	}
	switch p.stop.Signal {
	case "", "TERM", "INT", "QUIT":
	default:
		return diag.Inputf("bad-signal", "%s stops with signal `%s`", p, p.stop.Signal).Hint("use TERM, INT or QUIT")
	}
	if problem := validateEnv(p.String(), p.env); problem != nil {
		return problem
	}
	return p.ready.validate(p.String())
}

func cleanPath(p string) bool { return strings.HasPrefix(p, "/") && path.Clean(p) == p }

func badPath(p part, what, at string) *diag.Problem {
	return diag.Inputf("bad-path", "%s has %s at `%s`, which is not an absolute clean path", p, what, at)
}

func validateEnv(of string, env map[string]string) *diag.Problem {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(env[k], 0) {
			return diag.Inputf("bad-env", "%s cannot have the environment variable %q", of, k)
		}
	}
	return nil
}

// validateState compares the state directories that are mounted with those that are declared.
func (a App) validateState(parts []part) *diag.Problem {
	mounted := map[string]bool{}
	for _, p := range parts {
		for _, at := range slices.Sorted(maps.Keys(p.state)) {
			name := p.state[at]
			if !slices.Contains(a.State, name) {
				return diag.Inputf("unknown-name", "%s mounts the state directory `%s`, which application `%s` does not declare", p, name, a.Name)
			}
			mounted[name] = true
		}
	}
	for i, name := range a.State {
		if p := checkName("a state directory", name); p != nil {
			return p
		}
		if slices.Contains(a.State[:i], name) {
			return diag.Inputf("name-twice", "application `%s` declares the state directory `%s` twice", a.Name, name)
		}
		if !mounted[name] {
			return diag.Inputf("unused-name", "application `%s` declares the state directory `%s`, which nothing mounts", a.Name, name)
		}
	}
	return nil
}

func (a App) validatePorts() *diag.Problem {
	owner, named := map[int]string{}, map[string]string{}
	for _, s := range a.Services {
		for _, p := range s.Ports {
			if problem := checkName("a port", p.Name); problem != nil {
				return problem
			}
			if p.Port < 1 || p.Port > 65535 {
				return diag.Inputf("bad-port", "service `%s` has the port %d", s.Name, p.Port)
			}
			if other, twice := owner[p.Port]; twice {
				return diag.Inputf("port-twice", "services `%s` and `%s` both have the port %d; they share one network", other, s.Name, p.Port)
			}
			if other, twice := named[p.Name]; twice {
				return diag.Inputf("name-twice", "services `%s` and `%s` both have a port called `%s`", other, s.Name, p.Name)
			}
			owner[p.Port], named[p.Name] = s.Name, s.Name
		}
	}
	return nil
}

// order sorts parts so that each stands after what it comes after, keeping the given order where that says nothing.
func order(app string, parts []part) ([]string, *diag.Problem) {
	var names []string
	placed := map[string]bool{}
	for len(names) < len(parts) {
		before := len(names)
		for _, p := range parts {
			if placed[p.name] || slices.ContainsFunc(p.after, func(a string) bool { return !placed[a] }) {
				continue
			}
			names = append(names, p.name)
			placed[p.name] = true
			break
		}
		if len(names) == before {
			var rest []string
			for _, p := range parts {
				if !placed[p.name] {
					rest = append(rest, p.name)
				}
			}
			return nil, diag.Inputf("order-cycle", "application `%s` cannot start: %s wait for each other", app, strings.Join(rest, ", "))
		}
	}
	return names, nil
}

func (p Probe) validate(of string) *diag.Problem {
	set := 0
	for _, is := range []bool{p.HTTP != "", p.TCP != "", len(p.Command) > 0} {
		if is {
			set++
		}
	}
	if set > 1 {
		return diag.Inputf("bad-probe", "%s has more than one way to find out whether it is ready", of).Hint("keep one of http, tcp and command")
	}
	if p.Every < 0 || p.Within < 0 {
		return diag.Inputf("bad-probe", "%s probes with a negative time", of)
	}
	if p.HTTP != "" {
		return validateURL("the probe of "+of, p.HTTP)
	}
	if p.TCP != "" {
		if _, port, err := net.SplitHostPort(p.TCP); err != nil || !validPort(port) {
			return diag.Inputf("bad-probe", "%s probes the address `%s`", of, p.TCP).Hint("write it as `127.0.0.1:5432`")
		}
	}
	return nil
}

func validateURL(what, s string) *diag.Problem {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Port() != "" && !validPort(u.Port()) {
		return diag.Inputf("bad-url", "%s is `%s`", what, s).Hint("write it as `http://127.0.0.1:9000/`")
	}
	return nil
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}

// Validate says what is wrong with the check by itself, as a *diag.Problem; nil if nothing is.
func (c Check) Validate() error {
	if p := c.validate(); p != nil {
		return p
	}
	return nil
}

func (c Check) validate() *diag.Problem {
	if p := checkName("a check", c.Name); p != nil {
		return p
	}
	if c.Of == "" {
		return diag.Inputf("target-missing", "check `%s` does not say which target it checks", c.Name)
	}
	if c.Step.IsZero() {
		return diag.Inputf("step-missing", "check `%s` has nothing to run", c.Name)
	}
	if strings.Contains(c.Doc, "\n") {
		return diag.Inputf("bad-doc", "the description of check `%s` has more than one line", c.Name)
	}
	return nil
}
