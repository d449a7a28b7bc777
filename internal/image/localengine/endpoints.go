package localengine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Endpoint is where an engine may be listening.
type Endpoint struct {
	Address string // unix:///run/podman/podman.sock, tcp://127.0.0.1:2375
	From    string // who says so, for messages: "`DOCKER_HOST`"
	CertDir string // ca.pem, cert.pem and key.pem for TLS; empty: none
}

// fileLimit is how much of a configuration of Docker's is read.
const fileLimit = 1 << 20

// Endpoints lists where to look for an engine. What a person has chosen, by a variable or as Docker's context, is the
// only place then; otherwise it is the usual sockets, Docker's before podman's, the user's before the machine's.
func Endpoints(getenv func(string) string, home string) []Endpoint {
	docker := getenv("DOCKER_CONFIG")
	if docker == "" && home != "" {
		docker = filepath.Join(home, ".docker")
	}
	if v := getenv("DOCKER_HOST"); v != "" {
		e := Endpoint{Address: address(v), From: "`DOCKER_HOST`"}
		if getenv("DOCKER_TLS_VERIFY") != "" {
			if e.CertDir = getenv("DOCKER_CERT_PATH"); e.CertDir == "" {
				e.CertDir = docker
			}
		}
		return []Endpoint{e}
	}
	if e, ok := chosenContext(getenv("DOCKER_CONTEXT"), docker); ok {
		return []Endpoint{e}
	}
	if v := getenv("CONTAINER_HOST"); v != "" {
		return []Endpoint{{Address: address(v), From: "`CONTAINER_HOST`"}}
	}
	var out []Endpoint
	add := func(from string, dir string, name ...string) {
		if dir != "" {
			out = append(out, Endpoint{Address: "unix://" + filepath.Join(append([]string{dir}, name...)...), From: from})
		}
	}
	run := getenv("XDG_RUNTIME_DIR")
	add("Docker without root", run, "docker.sock")
	add("Docker Desktop", home, ".docker", "run", "docker.sock")
	add("Docker", "/var/run", "docker.sock")
	add("podman without root", run, "podman", "podman.sock")
	add("podman", "/run", "podman", "podman.sock")
	return out
}

// address completes what people write without a scheme.
func address(s string) string {
	switch {
	case strings.HasPrefix(s, "/"):
		return "unix://" + s
	case !strings.Contains(s, "://"):
		return "tcp://" + s
	}
	return s
}

// chosenContext reads the context that Docker's command line would use. name is DOCKER_CONTEXT; without it, the one
// chosen by `docker context use`.
func chosenContext(name, docker string) (Endpoint, bool) {
	if docker == "" {
		return Endpoint{}, false
	}
	if name == "" {
		var c struct{ CurrentContext string }
		readJSON(filepath.Join(docker, "config.json"), &c)
		name = c.CurrentContext
	}
	if name == "" || name == "default" {
		return Endpoint{}, false
	}
	id := sha256.Sum256([]byte(name))
	dir := hex.EncodeToString(id[:])
	var c struct {
		Endpoints map[string]struct{ Host string }
	}
	readJSON(filepath.Join(docker, "contexts", "meta", dir, "meta.json"), &c)
	host := c.Endpoints["docker"].Host
	if host == "" {
		return Endpoint{}, false
	}
	e := Endpoint{Address: address(host), From: "Docker's context `" + name + "`"}
	certs := filepath.Join(docker, "contexts", "tls", dir, "docker")
	if _, err := os.Stat(filepath.Join(certs, "ca.pem")); err == nil {
		e.CertDir = certs
	}
	return e, true
}

// readJSON reads a file of Docker's if it is there and makes sense: whoever uses Docker sees its own messages about it.
func readJSON(name string, v any) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	_ = json.NewDecoder(io.LimitReader(f, fileLimit)).Decode(v)
}
