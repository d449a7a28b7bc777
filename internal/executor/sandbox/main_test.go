//go:build linux

package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/store/disk"
)

// helperEnv names the built helper to the same tests run again as an ordinary user.
const helperEnv = "HEWN_TEST_HELPER"

// ordinaryUser is some user that no machine has.
const ordinaryUser = 54321

func TestMain(m *testing.M) {
	if sandbox.ServerMain(os.Args) {
		return
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if helper = os.Getenv(helperEnv); helper == "" {
		dir, err := os.MkdirTemp("", "hewn-helper-")
		if err == nil {
			defer os.RemoveAll(dir)
			helper, err = executortest.Helper(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// helper is the path of the helper; TestMain sets it.
var helper string

// setUp makes a sandbox over a store on disk.
func setUp(t testing.TB, mode sandbox.Mode) (*sandbox.Sandbox, *executortest.Fixture, string) {
	t.Helper()
	s := openStore(t, t.TempDir())
	temp := filepath.Join(s.Dir(), "sandbox")
	sb, err := sandbox.New(sandbox.Config{Store: s, Views: s, TempDir: temp, Roots: []string{filepath.Join(s.Dir(), "views")}, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sb.Close(); err != nil {
			t.Error(err)
		}
		left, _ := filepath.Glob(filepath.Join(temp, "run-*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return sb, &executortest.Fixture{Executor: sb, Store: s, Helper: helper, Local: true}, temp
}

func openStore(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// asUser runs the calling test again as an ordinary user, in a directory of its own, and passes on how it went.
func asUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is the ordinary user
	}
	t.Run("User", func(t *testing.T) {
		t.Parallel()
		dir, err := os.MkdirTemp("/tmp", "hewn-user-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		for name, src := range map[string]string{"test": "/proc/self/exe", "helper": helper} {
			if err := copyProgram(src, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(dir, ordinaryUser, ordinaryUser); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(t.Name(), "/")
		// The death signal comes when the thread that forked ends, and threads of these tests do end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		run := func() ([]byte, error) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test"), "-test.run", "^"+name+"$", "-test.v", "-test.timeout", "5m")
			cmd.Dir = dir
			cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, helperEnv + "=" + filepath.Join(dir, "helper"), "CI=" + os.Getenv("CI"), "PATH=" + os.Getenv("PATH")}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}, Pdeathsig: syscall.SIGKILL}
			return cmd.CombinedOutput()
		}
		out, err := run()
		// A child that another test was just starting may still have the copy open for writing.
		for range 100 {
			if !errors.Is(err, syscall.ETXTBSY) {
				break
			}
			time.Sleep(20 * time.Millisecond)
			out, err = run()
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		} else if testing.Verbose() {
			t.Logf("%s", out)
		}
	})
}

func copyProgram(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
