package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/diag"
)

// Probe tries what a sandbox needs, in a directory of its own below tempDir (which should be that of Config.TempDir: it
// matters on which file system it lies). The program is started as the server, so ServerMain must be its first call.
func Probe(tempDir string) *Report {
	r := &Report{}
	r.kernel()
	s, err := New(Config{TempDir: tempDir})
	if err != nil {
		r.Problem = err
		return r
	}
	defer s.Close()
	s.client.mu.Lock()
	err = s.client.start()
	s.client.mu.Unlock()
	r.add("user namespaces", err == nil, detail(err, "user, mount and process namespaces for user "+fmt.Sprint(os.Geteuid())))
	r.appArmor()
	if err != nil {
		r.Problem = err
		return r
	}
	works := false
	for _, m := range []struct {
		mode Mode
		name string
	}{{ModeOverlay, "overlay on the store's file system"}, {ModeTmpfs, "overlay in memory"}, {ModeCopy, "copy of the root"}} {
		err := s.try(m.mode)
		r.add(m.name, err == nil, detail(err, map[bool]string{true: "in reserve", false: "used for roots"}[works]))
		works = works || err == nil
		if r.Problem == nil && err != nil {
			r.Problem = err
		}
	}
	if works {
		r.Problem = nil
	}
	r.cgroup()
	return r
}

func detail(err error, otherwise string) string {
	if err != nil {
		return err.Error()
	}
	return otherwise
}

func (r *Report) add(name string, ok bool, detail string) {
	r.Checks = append(r.Checks, Check{name, ok, detail})
}

// try runs a command that is not there: the attempt to execute it comes after everything else.
func (s *Sandbox) try(mode Mode) error {
	dir, err := s.newDir()
	if err != nil {
		return err
	}
	if mode == ModeCopy {
		if err := os.Mkdir(dir+"/root", 0o755); err != nil {
			return err
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	own, err := s.client.call(&request{Op: opRun, Root: &root{Mode: mode, Lowers: []string{s.skeleton}, Dir: dir}, Proc: &proc{Args: []string{"/none"}, Dir: "/", UID: UserID, GID: UserID}}, int(null.Fd()))
	if err != nil {
		return err
	}
	defer own.close()
	var rep reply
	files, err := receive(own, &rep)
	closeAll(files)
	switch {
	case err != nil:
		return s.client.gone("it was tried out", err)
	case rep.Stage == stageExec:
		return nil
	case rep.Stage == stageRoot:
		return diag.Environmentf("sandbox", "cannot put a root together").Because(errors.New(rep.Err))
	}
	return refusal(&rep)
}

func (r *Report) kernel() {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		r.add("kernel", false, err.Error())
		return
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	r.add("kernel", major > 5 || major == 5 && minor >= 12, release+" (5.12 or later is needed)")
}

// appArmor says whether this machine lets only profiled programs use user namespaces, as Ubuntu does since 24.04.
func (r *Report) appArmor() {
	b, err := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
	if err != nil || strings.TrimSpace(string(b)) != "1" || os.Geteuid() == 0 {
		r.add("AppArmor", true, "does not restrict user namespaces")
		return
	}
	program, err := os.Executable()
	if err != nil {
		program = "/usr/bin/hewn"
	}
	r.AppArmorProfile = appArmorProfile(program)
	r.add("AppArmor", false, "restricts user namespaces to programs with a profile")
}

// cgroup says whether a part of the cgroup tree is delegated to us. hewn does not need it.
func (r *Report) cgroup() {
	const watched = "memory limits are kept by looking every 250 ms"
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		r.add("cgroup delegation", false, watched)
		return
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			dir := filepath.Join("/sys/fs/cgroup", rest)
			controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
			ok := err == nil && strings.Contains(string(controllers), "memory") && unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) == nil
			r.add("cgroup delegation", ok, watched)
			return
		}
	}
	r.add("cgroup delegation", false, watched)
}
