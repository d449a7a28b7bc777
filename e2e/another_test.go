//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// otherwise is the argument that makes the test's program run hewn under other circumstances: see runOtherwise.
const otherwise = "hewn-under-other-circumstances"

// somebody is some user that no machine has.
const somebody = 54329

// another fills a second store as another user, at another place, in another time zone, with another umask and host
// name, one action at a time, and without any network once everything is fetched. Every target must have the digest
// that it has in the first store.
func (w *world) another(t *testing.T) {
	if len(w.digests) == 0 { // only this part was asked for
		w.buildAll(t)
	}
	p := w.stranger(t, filepath.Join(w.dir, "somebody's home"))
	w.shareOrigins(t, p)
	o := p.must(t, "fetch", miniature)
	t.Logf("fetch into an empty store: %s", o)
	if ran := actions(o.stderr); len(ran) > 0 {
		t.Errorf("`fetch` runs %q", ran)
	}
	p = p.offline()
	got, o := p.build(t, append([]string{"--offline", "--jobs", "1"}, references(w.targets(t))...)...)
	t.Logf("build --offline --jobs 1 of all targets without a network: %s; %d actions", o, len(of(o.started, "action")))
	t.Logf("the slowest: %s", slowest(o.stderr, 8))
	if fetched := of(o.started, "fetch"); len(fetched) > 0 {
		t.Errorf("fetched during the build: %q", fetched)
	}
	for _, b := range got {
		if b.Digest != w.digests[b.Target] {
			t.Errorf("%s: %s here, %s in the first store", b.Target, b.Digest, w.digests[b.Target])
		}
	}
	if len(got) != len(w.digests) {
		t.Errorf("%d targets here, %d in the first store", len(got), len(w.digests))
	}
	if w.imageDigest != "" {
		w.sameImage(t, p)
	}
}

// actions gives the actions that plain progress tells of.
func actions(stderr string) []string {
	var out []string
	for l := range strings.Lines(stderr) {
		if label, ok := strings.CutPrefix(l, "run    "); ok {
			out = append(out, strings.TrimSpace(label))
		}
	}
	return out
}

// stranger makes another person with a home, a clone and a store of their own.
func (w *world) stranger(t *testing.T, home string) person {
	t.Helper()
	work := filepath.Join(home, "elsewhere", "clone")
	for _, dir := range []string{work, filepath.Join(home, "tmp")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	copyDir(t, w.work, work)
	copyConfiguration(t, home)
	env := environ([]string{"HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"},
		"HOME="+home, "TMPDIR="+filepath.Join(home, "tmp"), "TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8",
		"HEWN_STORE="+filepath.Join(home, "a store"))
	uid := os.Getuid()
	if uid == 0 {
		uid = somebody
		must(t, filepath.WalkDir(home, func(name string, _ os.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(name, uid, uid)
			}
			return err
		}))
	} else {
		t.Logf("not root: the second build is the same user's, root in a user namespace")
	}
	self, err := os.Executable()
	must(t, err)
	return person{hewn: w.hewn, dir: work, env: env, wrap: func(cmd *exec.Cmd) {
		cmd.Args = append([]string{self, otherwise, strconv.Itoa(uid), cmd.Path}, cmd.Args[1:]...)
		cmd.Path = self
		a := cmd.SysProcAttr
		a.Cloneflags |= syscall.CLONE_NEWUTS
		if os.Getuid() != 0 {
			a.Cloneflags |= syscall.CLONE_NEWUSER
			a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
	}}
}

// offline is the same person without a network, loopback included.
func (p person) offline() person {
	wrap := p.wrap
	p.wrap = func(cmd *exec.Cmd) {
		wrap(cmd)
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	return p
}

// copyConfiguration gives a new home what this user's own says about registries: on a machine whose mirrors are
// configured for one user only, the other would have none.
func copyConfiguration(t *testing.T, home string) {
	t.Helper()
	mine, err := os.UserHomeDir()
	must(t, err)
	for _, name := range []string{".npmrc", ".netrc", ".config/go/env", ".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".m2/settings.xml"} {
		if st, err := os.Stat(filepath.Join(mine, name)); err == nil && st.Mode().IsRegular() {
			copyFile(t, filepath.Join(mine, name), filepath.Join(home, name))
		}
	}
}

// shareOrigins tells the other, in hewn.toml, those origins that only this user finds: by a tool that lies in this
// user's home, for example.
func (w *world) shareOrigins(t *testing.T, p person) {
	t.Helper()
	mine, theirs := w.first.origins(t), p.origins(t)
	f, err := os.OpenFile(filepath.Join(p.dir, miniature, "hewn.toml"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	for _, eco := range ecosystems {
		if len(theirs[eco]) == 0 && len(mine[eco]) > 0 {
			t.Logf("the other user finds no origin for %s and is told", eco)
			_, err := fmt.Fprintf(f, "\n[mirror.%s]\nurls = [%s]\n", eco, quoted(mine[eco]))
			must(t, err)
		}
	}
}

func quoted(texts []string) string {
	var out []string
	for _, s := range texts {
		out = append(out, strconv.Quote(s))
	}
	return strings.Join(out, ", ")
}

// runOtherwise is the test's program as a launcher: it gives this process another host name, umask and user, and then
// makes it hewn. args are the user's id, hewn, and hewn's arguments.
func runOtherwise(args []string) int {
	runtime.LockOSThread()
	err := func() error {
		uid, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := syscall.Sethostname([]byte("elsewhere")); err != nil {
			return err
		}
		syscall.Umask(0o077)
		if uid == somebody {
			if err := syscall.Setgroups(nil); err != nil {
				return err
			}
			if err := syscall.Setgid(uid); err != nil {
				return err
			}
			if err := syscall.Setuid(uid); err != nil {
				return err
			}
		}
		return syscall.Exec(args[1], args[1:], os.Environ())
	}()
	fmt.Fprintln(os.Stderr, "cannot run hewn under other circumstances:", err)
	return 125
}
