//go:build linux

package sandbox_test

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
)

// TestClosingSparesOtherProcesses starts processes that are to end with the thread that forked them, as many programs
// do. The thread that a sandbox uses may have forked one, so closing the sandbox must not end that thread.
func TestClosingSparesOtherProcesses(t *testing.T) {
	own := make([]*exec.Cmd, 16)
	var starts sync.WaitGroup
	for i := range own {
		starts.Go(func() {
			own[i] = exec.CommandContext(t.Context(), helper, "sleep", "1m")
			own[i].SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := own[i].Start(); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if t.Failed() {
		return
	}
	s := openStore(t, t.TempDir())
	for range 20 {
		dir, err := os.MkdirTemp(s.Dir(), "sandbox-")
		if err != nil {
			t.Fatal(err)
		}
		sb, err := sandbox.New(sandbox.Config{Store: s, Views: s, TempDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := &executortest.Fixture{Executor: sb, Store: s, Helper: helper, Local: true}
		f.OK(t, executortest.Run{Args: []string{"true"}})
		if err := sb.Close(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond) // a signal that was sent arrives
	for _, cmd := range own {
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WNOHANG, nil); err != nil || pid != 0 {
			t.Errorf("process %d ended before it should: %v %v", cmd.Process.Pid, status.Signal(), err)
			continue
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
