//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
)

// victimEnv makes TestVictim do something in the directory that it names.
const victimEnv = "HEWN_TEST_VICTIM"

// TestVictim is the process that TestKilled kills: it runs an action, a session and an action with a further root, and
// says so.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		return // not meant for itself
	}
	s := openStore(t, filepath.Join(dir, "store"))
	sb, err := sandbox.New(sandbox.Config{Store: s, Views: s, TempDir: filepath.Join(dir, "tmp")})
	if err != nil {
		t.Fatal(err)
	}
	f := &executortest.Fixture{Executor: sb, Store: s, Helper: helper, Local: true}
	r := f.Request(t, executortest.Run{Args: []string{"sleep", "1h", dir}})
	r.Log = os.Stdout
	go sb.Execute(context.Background(), r)
	se, err := sb.Open(t.Context(), "victim")
	if err != nil {
		t.Fatal(err)
	}
	if err := se.Mount(t.Context(), executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"/bin/helper", "daemon", dir}, Stdout: os.Stdout}); err != nil {
		t.Fatal(err)
	}
	if _, err := se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"/bin/helper", "sleep", "1h", dir}, Stdout: os.Stdout}); err != nil {
		t.Fatal(err)
	}
	further := f.Request(t, executortest.Run{Args: []string{"drive", `start:a:{"root":"image","args":["/bin/helper","sleep","1h","` + dir + `"]}`, "sleep:1h"},
		Further: []executortest.Further{{Name: "image", ReadOnly: true}}})
	further.Log = os.Stdout
	sb.Execute(context.Background(), further)
	t.Error("it ended")
}

func TestKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestVictim$", "-test.v")
	cmd.Env = append(os.Environ(), victimEnv+"="+dir, helperEnv+"="+helper)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var text strings.Builder
	for n := 0; n < 3 && lines.Scan(); { // all sleepers
		fmt.Fprintln(&text, lines.Text())
		n += strings.Count(lines.Text(), "sleeping")
	}
	if strings.Count(text.String(), "sleeping") != 3 {
		cmd.Process.Kill()
		t.Fatalf("the victim said: %s", &text)
	}
	if executortest.Find(t, dir) == "" {
		t.Error("nothing to be found while it runs: this test would prove nothing")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); executortest.Find(t, dir) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s lives on", executortest.Find(t, dir))
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts stay behind (%v):\n%s", err, mounts)
	}
	temp := filepath.Join(dir, "tmp")
	left, _ := filepath.Glob(filepath.Join(temp, "run-*"))
	if len(left) != 1 {
		t.Errorf("directories of the dead: %v", left)
	}
	s := openStore(t, filepath.Join(dir, "store"))
	sb, err := sandbox.New(sandbox.Config{Store: s, Views: s, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	defer sb.Close()
	if len(left) == 1 {
		if _, err := os.Stat(left[0]); err == nil {
			t.Errorf("%s was not removed", left[0])
		}
	}
	asUser(t)
}

// TestLiving says that a second process does not take away what a living one has.
func TestLiving(t *testing.T) {
	_, f, temp := setUp(t, sandbox.ModeAuto)
	f.OK(t, executortest.Run{Args: []string{"true"}})
	s := openStore(t, t.TempDir())
	other, err := sandbox.New(sandbox.Config{Store: s, Views: s, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	f.OK(t, executortest.Run{Args: []string{"true"}})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	f.OK(t, executortest.Run{Args: []string{"true"}})
}
