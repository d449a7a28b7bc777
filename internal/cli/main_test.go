package cli_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hewn.example/hewn/internal/cli"
	"hewn.example/hewn/internal/executor/sandbox"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

// helper and program are the paths of the static program of the tests' roots, and of hewn; testMain sets them. Both lie
// where every user can run them.
var helper, program string

func TestMain(m *testing.M) {
	if sandbox.ServerMain(os.Args) {
		return
	}
	testscript.Main(setUp{m}, map[string]func(){"hewn": func() { os.Exit(cli.Main(cli.OS())) }})
}

// setUp builds what all tests need before they run.
type setUp struct{ m *testing.M }

func (s setUp) Run() int {
	dir, err := os.MkdirTemp("", "hewn-cli-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		helper, program = filepath.Join(dir, "helper"), filepath.Join(dir, "hewn")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", helper, "./testdata/helper")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		var text []byte
		if text, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("build the helper: %w\n%s", err, text)
		}
	}
	if err == nil {
		err = copyProgram("/proc/self/exe", program)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// needSandbox skips a test where this machine has no sandbox, except where CI says that nothing may be wanting.
func needSandbox(t *testing.T) {
	t.Helper()
	if why := noSandbox(); why != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("must not be skipped in CI: %s", why)
		}
		t.Skip(why)
	}
}
