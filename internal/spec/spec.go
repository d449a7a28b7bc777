// Package spec is what recipes describe and upper layers carry out, as plain values: applications with their services,
// and checks. Package recipe fills them, packages service and check carry them out, package image reads them.
//
// A value is complete: whoever carries it out looks nothing up in the recipe but the targets that it names. Validate
// says everything that can be wrong with a value by itself.
package spec

import (
	"time"

	"hewn.example/hewn/internal/engine"
)

// App is an application that `hewn up` starts: services that together do something for a person.
type App struct {
	Name     string
	Services []Service
	// Setup is what has to be done before the services it names start, in this order: create a database, migrate it.
	Setup []Setup
	// State is the names of the state directories that survive the end of a session. Services and setups mount them
	// (StateDirs); a name that none mounts is an error, and so is the reverse.
	State []string
	// Env is set for every service and setup; their own variables come on top.
	Env map[string]string
	// Ready says when the application as a whole is ready, after all of its services are.
	Ready Probe
	// URL is where a browser finds the application, in terms of the session's own network:
	// "http://127.0.0.1:9000/". What a person is shown has the port of the host in its place.
	URL string
	// Credentials is what a person needs to log in for the first time, as text: "user akadmin, password hewn".
	Credentials string
}

// Service is a process that stays up.
type Service struct {
	Name      string
	Root      string   // the target whose tree serves as /
	Command   []string // and its arguments
	Env       map[string]string
	Dir       string            // working directory; empty: "/"
	AsRoot    bool              // uid 0 inside instead of 1000
	After     []string          // services that are ready, and setups that are done, before this one starts
	Ready     Probe             // none: ready as soon as it runs
	StateDirs map[string]string // absolute path inside -> name of a state directory
	Tmpfs     []string          // absolute paths of empty directories in memory
	Restart   bool              // started again when it ends by itself; otherwise its end is that of the application
	Ports     []Port            // that the host may reach
	Stop      Stop
}

// Setup is a command that runs to its end before what stands After it.
type Setup struct {
	Name      string
	Root      string
	Command   []string
	Env       map[string]string
	Dir       string
	AsRoot    bool
	After     []string
	StateDirs map[string]string
	Tmpfs     []string
}

// Port is a TCP port on the loopback address of the session that the host is given a way to.
type Port struct {
	Name string // "http"
	Port int
}

// Stop says how a service ends when it is asked to.
type Stop struct {
	Signal string        // "TERM" (the default), "INT", "QUIT"
	Grace  time.Duration // until it is killed; zero: 10 s
}

// Probe says how to find out whether something is ready. Exactly one of HTTP, TCP and Command is set, or none.
type Probe struct {
	HTTP    string   // URL in the session's network; any answer of 2xx or 3xx will do
	TCP     string   // "127.0.0.1:5432": somebody accepts connections
	Command []string // run in the service's root, environment and directory; exit code 0
	// Every is the time between two tries (zero: 250 ms); Within is when to give up (zero: 2 min).
	Every  time.Duration
	Within time.Duration
}

// IsZero says that nothing is probed.
func (p Probe) IsZero() bool { return p.HTTP == "" && p.TCP == "" && len(p.Command) == 0 }

// Check is a step that passes by succeeding: an action whose driver is a script of the recipe, in a root that holds
// what it checks. Being a step, it is cached, hermetic and runs wherever actions run.
type Check struct {
	Name string // unique in the recipe: "python-deps-imports"
	Of   string // the target that it checks
	Doc  string // one line for people
	Step engine.Step
}
