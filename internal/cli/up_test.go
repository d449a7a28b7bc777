package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// served is a running `hewn up`.
type served struct {
	cmd    *exec.Cmd
	url    string
	stderr *bytes.Buffer
	stdout io.Reader
}

// serving starts an application of one service in dir and waits until it says its address. token is among the arguments
// of its processes.
func serving(t *testing.T, dir, home, token string) *served {
	t.Helper()
	write(t, filepath.Join(dir, "recipe/recipe.star"), fmt.Sprintf(`
target("root", lambda t: merge(t.source("tools"), dirs("/state")))
app("it", [service("server", ["helper", "serve", "8080", "/state", %q], "root", state = {"/state": "data"},
        env = {"SECRET": "{secret:key}"}, ready_http = "http://127.0.0.1:8080/health")],
    ports = {"http": 8080}, url = "/", secrets = ["key"])
`, token))
	s := &served{cmd: hewn(t, dir, home, "up", "--state", filepath.Join(dir, "state")), stderr: &bytes.Buffer{}}
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		_ = s.cmd.Wait()
		t.Fatalf("%v\n%s", err, s.stderr.String())
	}
	s.url, s.stdout = strings.TrimSpace(line), r
	return s
}

func (s *served) get(t *testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUp: an application answers at the address that hewn prints, keeps its state, ends with Ctrl-C, and does not outlive
// hewn, however that ends.
func TestUp(t *testing.T) {
	needSandbox(t)
	dir, home := t.TempDir(), t.TempDir()
	workspace(t, dir)
	token := "token-" + filepath.Base(filepath.Dir(dir))

	first := serving(t, dir, home, token)
	page := first.get(t)
	if !strings.HasPrefix(page, "started 1 times, secret ") || len(page) < 60 {
		t.Errorf("the page says %q", page)
	}
	if alive(token) == 0 {
		t.Error("no process of the service is to be seen, so that their end would not be either")
	}

	// The state is for one at a time.
	out, err := hewn(t, dir, home, "up", "--state", filepath.Join(dir, "state")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another `hewn up` uses the state directory") || !strings.Contains(string(out), "--state") {
		t.Errorf("%v\n%s", err, out)
	}

	if err := first.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, first.stdout)
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, first.stderr.String())
	}
	if !strings.Contains(first.stderr.String(), "server     asked to end\n") {
		t.Errorf("the service was not asked to end:\n%s", first.stderr.String())
	}
	await(t, "the service to end", func() bool { return alive(token) == 0 })
	if left := leftovers(filepath.Join(home, "store")); len(left) > 0 {
		t.Errorf("there is %v", left)
	}

	// What it kept is there again, its secrets too; and a port that is taken is no reason to fail.
	second := serving(t, dir, home, token)
	if got, want := second.get(t), strings.Replace(page, "1 times", "2 times", 1); got != want {
		t.Errorf("the page says %q, want %q", got, want)
	}
	if err := second.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = second.cmd.Wait()
	await(t, "what was left to end", func() bool { return alive(token) == 0 })

	third := serving(t, dir, home, token)
	if got := third.get(t); !strings.HasPrefix(got, "started 3 times") {
		t.Errorf("the page says %q", got)
	}
	if err := third.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := third.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, third.stderr.String())
	}
	if left := leftovers(filepath.Join(home, "store")); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "state/data/starts")); err != nil {
		t.Error(err)
	}
}
