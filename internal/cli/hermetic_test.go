package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/cli"
)

// layered is a recipe of three layers of actions, each on several of the layer before, and one that writes down what
// it sees of the world.
const layered = `
def part(t, i):
    return run(
        label = "part %d" % i,
        cmd = ["/bin/helper", "slow", "5ms", "/part/%d" % i, "/app/name", "/app/text/%d" % (i % 3)],
        layers = [t.source("tools"), t.source("app").at("/app")],
        outputs = ["/part/%d" % i],
    )

def join(t, i):
    return run(
        label = "join %d" % i,
        cmd = ["/bin/helper", "slow", "5ms", "/join/%d" % i] + ["/part/%d" % j for j in range(i, i + 3)],
        layers = [t.source("tools")] + [part(t, j) for j in range(i, i + 3)],
        outputs = ["/join/%d" % i],
    )

def facts(t):
    return run(label = "facts", cmd = ["helper", "facts", "/facts"], layers = [t.source("tools")], outputs = ["/facts"])

def everything(t):
    joins = [join(t, i) for i in range(4)]
    last = run(label = "last", cmd = ["/bin/helper", "concat", "/last"] + ["/join/%d" % i for i in range(4)],
        layers = [t.source("tools")] + joins, outputs = ["/last"])
    return merge(last, t.target("facts"), t.source("app").at("/app"))

target("facts", facts)
target("all", everything, default = True)
`

// layeredActions is how many actions the recipe has: 6 parts, 4 joins, facts and last.
const layeredActions = 12

// lasting is the content of /last for a name.
func lasting(name string) string {
	var b strings.Builder
	for i := range 4 {
		for j := i; j < i+3; j++ {
			fmt.Fprintf(&b, "%s\ntext %d\n", name, j%3)
		}
	}
	return b.String()
}

// workspace makes a workspace of the layered recipe in dir.
func workspace(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{
		"hewn.toml":           "recipe = \"./recipe\"\n[source.app]\npath = \"app\"\n[source.tools]\npath = \"tools\"\n",
		"recipe/sources.toml": "[app]\n[tools]\n",
		"recipe/recipe.star":  layered,
		"app/name":            "first\n",
		"app/.gitignore":      "*.o\n/cache/\n",
	}
	for i := range 3 {
		files[fmt.Sprintf("app/text/%d", i)] = fmt.Sprintf("text %d\n", i)
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tools/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyProgram(helper, filepath.Join(dir, "tools/bin/helper")); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// openDir is a temporary directory that every user may look into.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hewn-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// hewn is a run of the program with a store and a home of its own below home.
func hewn(t *testing.T, dir, home string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + home, "HEWN_STORE=" + filepath.Join(home, "store"), "CI=true", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs cmd, which must succeed.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, stderr.String())
	}
	return string(out)
}

// TestSameDigests: the same sources give the same trees, wherever, whenever and by whomever they are built.
func TestSameDigests(t *testing.T) {
	needSandbox(t)
	base := openDir(t)
	first := filepath.Join(base, "first")
	workspace(t, first)
	want := output(t, hewn(t, first, t.TempDir(), "build", ":all", ":facts"))

	same := func(name string, dir string, change func(*testing.T, *exec.Cmd)) {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			cmd := hewn(t, dir, home, "build", ":all", ":facts")
			if change != nil {
				change(t, cmd)
			}
			if got := output(t, cmd); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	same("another store", first, nil)
	second := filepath.Join(base, "elsewhere", "second")
	workspace(t, second)
	same("another directory", second, nil)
	for _, jobs := range []string{"1", "8"} {
		same("jobs "+jobs, first, func(_ *testing.T, cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--jobs", jobs) })
	}
	same("another environment", first, func(_ *testing.T, cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "TZ=Pacific/Auckland", "LC_ALL=de_DE.UTF-8", "HOSTNAME=elsewhere", "SOURCE_DATE_EPOCH=1", "TMPDIR="+base, "USER=nobody", "DEBUG=1")
	})
	same("another umask", first, func(t *testing.T, cmd *exec.Cmd) { shell(cmd, "umask 077; exec \"$0\" \"$@\"") })
	same("another host name", first, func(t *testing.T, cmd *exec.Cmd) {
		if os.Geteuid() != 0 {
			t.Skip("only root can set one")
		}
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUTS
		shell(cmd, "echo elsewhere > /proc/sys/kernel/hostname && exec \"$0\" \"$@\"")
	})
	same("another user", first, func(t *testing.T, cmd *exec.Cmd) { asUser(t, cmd) })

	third := filepath.Join(base, "third")
	workspace(t, third)
	write(t, filepath.Join(third, "app/main.o"), "an object")
	write(t, filepath.Join(third, "app/cache/x"), "something")
	if err := os.Chmod(filepath.Join(third, "app/name"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(third, "app/name"), time.Now(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	same("a work tree", third, nil)
}

// shell puts a command behind a shell's script, as "$0" and "$@".
func shell(cmd *exec.Cmd, script string) {
	cmd.Args = append([]string{"sh", "-c", script, program}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

// ordinaryUser is some user that no machine has.
const ordinaryUser = 54321

// asUser makes cmd run as an ordinary user, in a home of theirs.
func asUser(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user")
	}
	home := openDir(t)
	if err := os.Chown(home, ordinaryUser, ordinaryUser); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "HOME="+home, "HEWN_STORE="+filepath.Join(home, "store"), "TMPDIR="+home)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}
}

// TestClone: what git gives anybody and the work tree it came from are one source.
func TestClone(t *testing.T) {
	needSandbox(t)
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	base := openDir(t)
	tree := filepath.Join(base, "tree")
	workspace(t, tree)
	write(t, filepath.Join(tree, "app/.gitattributes"), "* -text\n")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@host.example", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = filepath.Join(tree, "app")
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	write(t, filepath.Join(tree, "app/main.o"), "an object")
	want := output(t, hewn(t, tree, t.TempDir(), "build"))

	clone := filepath.Join(base, "clone")
	workspace(t, clone)
	if err := os.RemoveAll(filepath.Join(clone, "app")); err != nil {
		t.Fatal(err)
	}
	git("clone", "-q", ".", filepath.Join(clone, "app"))
	if got := output(t, hewn(t, clone, t.TempDir(), "build")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAlone: every action gives the same from its merged root alone.
func TestAlone(t *testing.T) {
	needSandbox(t)
	dir := t.TempDir()
	workspace(t, dir)
	sys := cli.System{Environ: []string{"XDG_CACHE_HOME=" + dir, "HOME=" + dir}, Dir: dir,
		Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Now: time.Now,
		Terminal: func() (int, bool) { return 80, false }}
	labels, err := cli.RunAlone(t.Context(), sys, ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(labels) != layeredActions {
		t.Errorf("ran %q", labels)
	}
}

// TestTwoAtOnce: two builds of the same in one store both succeed, and run each step once.
func TestTwoAtOnce(t *testing.T) {
	needSandbox(t)
	dir, home := t.TempDir(), t.TempDir()
	workspace(t, dir)
	var out, events [2]bytes.Buffer
	var cmds [2]*exec.Cmd
	for i := range cmds {
		cmds[i] = hewn(t, dir, home, "build", "--progress=json")
		cmds[i].Stdout, cmds[i].Stderr = &out[i], &events[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	ran := map[string]int{}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, events[i].String())
		}
		for line := range strings.Lines(events[i].String()) {
			var e struct {
				Event string
				Data  struct {
					Label, Kind string
					Cached      bool
				}
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			if e.Event == "StepDone" && e.Data.Kind == "action" && !e.Data.Cached {
				ran[e.Data.Label]++
			}
		}
	}
	if out[0].String() != out[1].String() || out[0].Len() == 0 {
		t.Errorf("one gave %q, the other %q", out[0].String(), out[1].String())
	}
	if len(ran) != layeredActions {
		t.Errorf("ran %v", slices.Sorted(maps.Keys(ran)))
	}
	for label, n := range ran {
		if n != 1 {
			t.Errorf("%s ran %d times", label, n)
		}
	}
}

// TestKilled: hewn is killed at random moments of a build. The next run gives the right result, and nothing that the
// killed one had begun is left.
func TestKilled(t *testing.T) {
	needSandbox(t)
	dir, home := t.TempDir(), t.TempDir()
	workspace(t, dir)
	began := time.Now()
	output(t, hewn(t, dir, home, "build", "--out", "out"))
	whole := time.Since(began)
	times := 30
	if testing.Short() {
		times = 5
	}
	random := rand.New(rand.NewPCG(1, 2))
	cut := 0
	for i := range times {
		name := fmt.Sprintf("name %d", i)
		write(t, filepath.Join(dir, "app/name"), name+"\n")
		cmd := hewn(t, dir, home, "build", "--out", "out")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(whole))))
		_ = cmd.Process.Kill()
		if cmd.Wait() != nil {
			cut++
		}
		// Not every run is finished: what several killed ones leave has to go as well.
		if i%5 != 4 {
			continue
		}
		output(t, hewn(t, dir, home, "build", "--out", "out"))
		b, err := os.ReadFile(filepath.Join(dir, "out/last"))
		if err != nil || string(b) != lasting(name) {
			t.Fatalf("run %d gave %q, %v", i, b, err)
		}
		// On a busy machine what a killed run had started may outlive it for a moment; then the next run cleans up.
		left := leftovers(filepath.Join(home, "store"))
		for try := 0; len(left) > 0 && try < 3; try++ {
			time.Sleep(time.Second)
			write(t, filepath.Join(dir, "app/name"), fmt.Sprintf("%stry %d\n", name, try))
			output(t, hewn(t, dir, home, "build", "--out", "out"))
			left = leftovers(filepath.Join(home, "store"))
		}
		if len(left) > 0 {
			t.Errorf("after run %d there is %v", i, left)
		}
	}
	if cut < times/3 {
		t.Errorf("only %d of %d runs were cut short", cut, times)
	}
	err := filepath.WalkDir(filepath.Join(dir, "out"), func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".part") {
			t.Errorf("there is %s", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// What an empty store gives is what this one gives.
	want := output(t, hewn(t, dir, t.TempDir(), "build"))
	if got := output(t, hewn(t, dir, home, "build")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestInterrupted: Ctrl-C ends a build at once, with a word and code 130.
func TestInterrupted(t *testing.T) {
	needSandbox(t)
	dir, home := t.TempDir(), t.TempDir()
	workspace(t, dir)
	token := filepath.Base(home) + "-interrupted"
	write(t, filepath.Join(dir, "recipe/recipe.star"), fmt.Sprintf(`
target("t", lambda t: run(cmd = ["helper", "sleep", %q], layers = [t.source("tools")], outputs = ["/x"], label = "sleep"))
`, token))
	cmd := hewn(t, dir, home, "build")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the action to run", func() bool { return alive(token) > 0 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.HasSuffix(stderr.String(), "hewn: error: interrupted\n") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	await(t, "the action to end", func() bool { return alive(token) == 0 })
	if left := leftovers(filepath.Join(home, "store")); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

// TestNoUserNamespaces: where the machine has none, that is said, with what to do, and the code is 3.
func TestNoUserNamespaces(t *testing.T) {
	needSandbox(t)
	dir, home := t.TempDir(), t.TempDir()
	workspace(t, dir)
	cmd := hewn(t, dir, home, "build", ":facts")
	// A user namespace in which no further one may be made.
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	shell(cmd, "echo 0 > /proc/sys/user/max_user_namespaces || exit 99; exec \"$0\" \"$@\"")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 99 {
		t.Skipf("the limit cannot be set here: %s", out)
	}
	want := `run    facts
failed facts
hewn: error: target facts: cannot make a user namespace, which the sandbox needs: fork/exec /proc/self/exe: no space left on device
  hint: raise the limit: sysctl user.max_user_namespaces=15000
  hint: ` + "`hewn doctor`" + ` says what this machine allows and how to allow more
`
	if exit == nil || exit.ExitCode() != 3 || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

// alive counts the processes of this machine that have token among their arguments, hewn and its like left out.
func alive(token string) int {
	n := 0
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range found {
		b, err := os.ReadFile(f)
		if err == nil && bytes.HasPrefix(b, []byte("helper\x00")) && bytes.Contains(b, []byte(token)) {
			n++
		}
	}
	return n
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
