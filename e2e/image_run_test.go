//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is what runs containers here: runc, on an island of its own.
type host struct {
	w      *world
	dir    string
	island *island
	bundle string         // of the image, as umoci has unpacked it
	config map[string]any // the runtime configuration that umoci has made of the image's
	data   string         // what is mounted at /data
	db     string
	root   string                // PostgreSQL's
	last   map[string]*container // of each name
}

// container is one that runc runs.
type container struct {
	h     *host
	id    string
	log   *lines
	cmd   *exec.Cmd
	ended chan struct{}
}

// run is what differs between containers.
type run struct {
	rootfs string            // "" for the image's own
	args   []string          // behind the entry point; the whole command where rootfs is set
	env    map[string]string // beside the image's own
	mounts map[string]string // from where it is in the container to where it is here
}

const (
	containerUser = 1000
	databasePass  = "database secret"
	adminPass     = "admin's secret"
)

// runs boots the image as an OCI runtime does: nothing of hewn takes part any more.
func (w *world) runs(t *testing.T) {
	need(t, "umoci", "runc")
	if os.Getuid() != 0 {
		t.Skip("runc needs root for an image with a user of its own")
	}
	h := w.newHost(t)
	h.owners(t)
	h.database(t)
	began := time.Now()
	if c := h.start(t, "migrate", run{args: []string{"migrate"}, env: h.settings(nil)}); c.wait(t, 5*time.Minute) != 0 {
		t.Fatalf("`ak migrate` failed:\n%s", c.log.tail(40))
	}
	t.Logf("migrated after %.1f s", time.Since(began).Seconds())
	r := h.application(t)
	r.use(t, "in-a-container")
	h.stop(t)
	r = h.application(t)
	r.has(t, r.client(t), "in-a-container")
	h.stop(t)
}

func (w *world) newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp(w.dir, "host-")
	must(t, err)
	h := &host{w: w, dir: dir, island: newIsland(t), bundle: filepath.Join(dir, "bundle"),
		data: filepath.Join(dir, "data"), db: filepath.Join(dir, "db"), root: filepath.Join(dir, "postgresql"), last: map[string]*container{}}
	for _, d := range []string{h.data, h.db} {
		must(t, os.Mkdir(d, 0o700))
		must(t, os.Chown(d, containerUser, containerUser))
	}
	// umoci 0.4 does not know zstd.
	layout := filepath.Join(dir, "image")
	w.first.image(t, "--compression", "gzip", "--output", "oci:"+layout)
	began := time.Now()
	tool(t, nil, "umoci", "unpack", "--image", layout+tagOf(t, layout), h.bundle)
	t.Logf("umoci has unpacked the image after %.1f s", time.Since(began).Seconds())
	b, err := os.ReadFile(filepath.Join(h.bundle, "config.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &h.config))
	w.first.build(t, miniature+":postgresql", "--out", h.root)
	return h
}

// tagOf is the name that a layout gives its image, as umoci wants it behind the path.
func tagOf(t *testing.T, layout string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, err)
	var index struct {
		Manifests []struct{ Annotations map[string]string }
	}
	must(t, json.Unmarshal(b, &index))
	const key = "org.opencontainers.image.ref.name"
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations[key] == "" {
		tool(t, nil, "skopeo", "copy", "--quiet", "--insecure-policy", "oci:"+layout, "oci:"+layout+"-named:image")
		must(t, os.RemoveAll(layout))
		must(t, os.Rename(layout+"-named", layout))
		return ":image"
	}
	return ":" + index.Manifests[0].Annotations[key]
}

// owners looks at every file as it lies in the unpacked image.
func (h *host) owners(t *testing.T) {
	t.Helper()
	rootfs := filepath.Join(h.bundle, "rootfs")
	theirs := []string{"certs", "data", "media"} // the application's own, in which it may write
	wrong := 0
	must(t, filepath.WalkDir(rootfs, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(rootfs, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		mode := info.Mode()
		bad := mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 || st.Uid != st.Gid || st.Uid != 0 && st.Uid != containerUser
		switch {
		case slices.Contains(theirs, rel):
			bad = bad || st.Uid != containerUser || mode.Perm() != 0o755 && mode.Perm() != 0o700
		case mode.IsDir() && (rel == "tmp" || rel == "var/tmp"):
			bad = bad || mode.Perm() != 0o777 || mode&fs.ModeSticky == 0
		case mode.IsDir():
			bad = bad || mode.Perm()&0o022 != 0 || mode.Perm()&0o555 != 0o555
		case mode.IsRegular():
			bad = bad || mode.Perm() != 0o644 && mode.Perm() != 0o755
		case mode&fs.ModeSymlink == 0:
			bad = true
		}
		if bad {
			if wrong++; wrong <= 10 {
				t.Errorf("/%s: %v, owner %d:%d", rel, mode, st.Uid, st.Gid)
			}
		}
		return nil
	}))
	if wrong > 10 {
		t.Errorf("and %d more", wrong-10)
	}
}

// database makes a cluster and serves it, from the root in which `hewn up` runs PostgreSQL.
func (h *host) database(t *testing.T) {
	t.Helper()
	const bin = "$(echo /usr/lib/postgresql/*/bin)"
	base := run{rootfs: h.root, mounts: map[string]string{"/var/lib/postgresql": h.db}, env: map[string]string{"PGPASSWORD": databasePass}}
	init := base
	init.args = []string{"bash", "-ec", "cd /var/lib/postgresql; " + bin + `/initdb -D data -U authentik --pwfile=<(echo "$PGPASSWORD") ` +
		"--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8; echo 'create database authentik' | " + bin + "/postgres --single -D data postgres"}
	if c := h.start(t, "initdb", init); c.wait(t, 2*time.Minute) != 0 {
		t.Fatalf("initdb failed:\n%s", c.log.tail(40))
	}
	serve := base
	serve.args = []string{"bash", "-ec", "exec " + bin + "/postgres -D /var/lib/postgresql/data -c listen_addresses=127.0.0.1 -c unix_socket_directories="}
	c := h.start(t, "database", serve)
	t.Cleanup(func() { c.stop(t, syscall.SIGINT, time.Minute) })
	c.ready(t, time.Minute, "bash", "-c", bin+"/pg_isready -q -h 127.0.0.1")
}

// settings is what a compose file says.
func (h *host) settings(more map[string]string) map[string]string {
	env := map[string]string{
		"AUTHENTIK_DISABLE_STARTUP_ANALYTICS": "true",
		"AUTHENTIK_DISABLE_UPDATE_CHECK":      "true",
		"AUTHENTIK_ERROR_REPORTING__ENABLED":  "false",
		"AUTHENTIK_POSTGRESQL__HOST":          "127.0.0.1",
		"AUTHENTIK_POSTGRESQL__NAME":          "authentik",
		"AUTHENTIK_POSTGRESQL__PASSWORD":      databasePass,
		"AUTHENTIK_POSTGRESQL__USER":          "authentik",
		"AUTHENTIK_SECRET_KEY":                "a key for tests only",
	}
	maps.Copy(env, more)
	return env
}

// application starts worker and server, and waits until both are well by their own health check.
func (h *host) application(t *testing.T) *running {
	t.Helper()
	began := time.Now()
	worker := h.start(t, "worker", run{args: []string{"worker"}, mounts: map[string]string{"/data": h.data}, env: h.settings(map[string]string{
		"AUTHENTIK_BOOTSTRAP_EMAIL": "root@localhost.example", "AUTHENTIK_BOOTSTRAP_PASSWORD": adminPass,
		// On one host with the server; in a pod of its own it has the same ports.
		"AUTHENTIK_LISTEN__HTTP": "127.0.0.1:9001", "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:9301",
	})})
	server := h.start(t, "server", run{args: []string{"server"}, mounts: map[string]string{"/data": h.data}, env: h.settings(nil)})
	for _, c := range []*container{worker, server} {
		c.ready(t, 5*time.Minute, "ak", "healthcheck")
		c.confined(t)
	}
	base := "http://" + h.island.forward(t, "9000")
	t.Logf("worker and server are well after %.1f s", time.Since(began).Seconds())
	return &running{base: base, page: base + "/if/admin/", password: adminPass}
}

// stop ends worker and server as an engine does.
func (h *host) stop(t *testing.T) {
	t.Helper()
	for _, id := range []string{"server", "worker"} {
		c := h.last[id]
		began := time.Now()
		code := c.stop(t, syscall.SIGTERM, 10*time.Second) // the time that engines give
		t.Logf("%s: ended %.1f s after SIGTERM, with code %d", id, time.Since(began).Seconds(), code)
		if code != 0 && code != 128+int(syscall.SIGTERM) {
			t.Errorf("%s ended with code %d after SIGTERM:\n%s", id, code, c.log.tail(20))
		}
	}
}

// start runs a container in the background.
func (h *host) start(t *testing.T, name string, r run) *container {
	t.Helper()
	dir := filepath.Join(h.dir, "run-"+name)
	must(t, os.RemoveAll(dir))
	must(t, os.Mkdir(dir, 0o700))
	b, err := json.Marshal(h.configure(t, r))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600))
	c := &container{h: h, id: fmt.Sprintf("hewn-e2e-%d-%s", os.Getpid(), name), log: newLines(), ended: make(chan struct{})}
	c.cmd = exec.Command("runc", "--root", filepath.Join(h.dir, "runc"), "run", "--bundle", dir, c.id)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.WaitDelay = 10 * time.Second
	must(t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait()
		c.log.close()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_, _ = tryTool(nil, "runc", "--root", filepath.Join(h.dir, "runc"), "delete", "--force", c.id)
		_ = c.cmd.Process.Kill()
		<-c.ended
	})
	h.last[name] = c
	return c
}

// configure is the image's own configuration with what every operator adds: volumes, settings, a root that is read-only.
func (h *host) configure(t *testing.T, r run) map[string]any {
	t.Helper()
	b, err := json.Marshal(h.config)
	must(t, err)
	var c map[string]any
	must(t, json.Unmarshal(b, &c))
	process := c["process"].(map[string]any)
	process["terminal"] = false
	env := map[string]string{}
	if r.rootfs == "" {
		c["root"] = map[string]any{"path": filepath.Join(h.bundle, "rootfs"), "readonly": true}
		for _, a := range r.args {
			process["args"] = append(process["args"].([]any), a)
		}
		for _, kv := range process["env"].([]any) {
			name, value, _ := strings.Cut(kv.(string), "=")
			env[name] = value
		}
	} else {
		c["root"] = map[string]any{"path": r.rootfs, "readonly": true}
		process["args"], process["cwd"] = r.args, "/"
		process["user"] = map[string]any{"uid": containerUser, "gid": containerUser}
		env["PATH"] = "/usr/bin:/bin"
	}
	maps.Copy(env, r.env)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	process["env"] = list
	// Declared volumes are given below or not at all; /tmp is the one place that a read-only root leaves to write to.
	mounts := slices.DeleteFunc(c["mounts"].([]any), func(m any) bool {
		at := m.(map[string]any)["destination"].(string)
		return r.mounts[at] != "" || at == "/sys/fs/cgroup"
	})
	mounts = append(mounts, map[string]any{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "nodev", "mode=1777"}})
	for at, from := range r.mounts {
		mounts = append(mounts, map[string]any{"destination": at, "type": "bind", "source": from, "options": []string{"bind", "rw", "nosuid", "nodev"}})
	}
	c["mounts"] = mounts
	for _, n := range c["linux"].(map[string]any)["namespaces"].([]any) {
		if n := n.(map[string]any); n["type"] == "network" {
			n["path"] = h.island.path
		}
	}
	return c
}

// wait waits for the end and gives the exit code.
func (c *container) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(limit):
		t.Fatalf("%s was not done after %s:\n%s", c.id, limit, c.log.tail(40))
	}
	return c.cmd.ProcessState.ExitCode()
}

// stop sends a signal to the first process and waits for the end.
func (c *container) stop(t *testing.T, sig syscall.Signal, limit time.Duration) int {
	t.Helper()
	select {
	case <-c.ended:
	default:
		tool(t, nil, "runc", "--root", filepath.Join(c.h.dir, "runc"), "kill", c.id, strconv.Itoa(int(sig)))
	}
	return c.wait(t, limit)
}

// ready waits until a command in the container ends well, as an engine does with a health check.
func (c *container) ready(t *testing.T, limit time.Duration, command ...string) {
	t.Helper()
	args := append([]string{"runc", "--root", filepath.Join(c.h.dir, "runc"), "exec", c.id}, command...)
	var said string
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		select {
		case <-c.ended:
			t.Fatalf("%s ended with code %d:\n%s", c.id, c.cmd.ProcessState.ExitCode(), c.log.tail(60))
		default:
		}
		if said, err = tryTool(nil, args...); err == nil {
			return
		}
	}
	t.Fatalf("%s is not well after %s: %s\n%s", c.id, limit, said, c.log.tail(60))
}

// confined checks that every process is the image's user's, and that its root cannot be written to.
func (c *container) confined(t *testing.T) {
	t.Helper()
	var pids []int
	must(t, json.Unmarshal([]byte(tool(t, nil, "runc", "--root", filepath.Join(c.h.dir, "runc"), "ps", "--format", "json", c.id)), &pids))
	if len(pids) < 2 {
		t.Errorf("%s has the processes %v", c.id, pids)
	}
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // ended meanwhile
		}
		want := fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", containerUser)
		if !strings.Contains(string(status), want) {
			t.Errorf("%s: process %d is another user's: %.300s", c.id, pid, status)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pids[0]))
	must(t, err)
	for l := range strings.Lines(string(mounts)) {
		if f := strings.Fields(l); f[4] == "/" && !slices.Contains(strings.Split(f[5], ","), "ro") {
			t.Errorf("%s: the root is mounted %s", c.id, f[5])
		}
	}
}
