package executortest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// Test runs the whole suite for executors.
func Test(t *testing.T, open func(t *testing.T) *Fixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Fixture)
	}{
		{"NoNetwork", testNoNetwork},
		{"NoHostFiles", testNoHostFiles},
		{"NoHostProcesses", testNoHostProcesses},
		{"NoCallersEnvironment", testEnvironment},
		{"InputsCannotChange", testInputs},
		{"NothingLeftBehind", testNothingLeft},
		{"Forbidden", testForbidden},
		{"Identity", testIdentity},
		{"Loopback", testLoopback},
		{"Devices", testDevices},
		{"Modes", testModes},
		{"ExitCodes", testExitCodes},
		{"NotStarted", testNotStarted},
		{"Log", testLog},
		{"Outputs", testOutputs},
		{"OutputsOfInputs", testOutputsOfInputs},
		{"BadOutputs", testBadOutputs},
		{"Layers", testLayers},
		{"ManyLayers", testManyLayers},
		{"TimeLimit", testTime},
		{"ProcessLimit", testProcessLimit},
		{"MemoryLimit", testMemory},
		{"Cancel", testCancel},
		{"Hints", testHints},
		{"Parallel", testParallel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func testNoNetwork(t *testing.T, f *Fixture) {
	var l net.ListenConfig
	tcp, err := l.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := fmt.Sprintf("@hewn-test-%d-%s", os.Getpid(), t.Name())
	abstract, err := l.Listen(t.Context(), "unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	f.OK(t, Run{Args: []string{"network", "tcp " + tcp.Addr().String(), "unix " + name}})
	f.OK(t, Run{Args: []string{"network", "tcp " + tcp.Addr().String(), "unix " + name}, AsRoot: true})
}

func testNoHostFiles(t *testing.T, f *Fixture) {
	host := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(host, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, asRoot := range []bool{false, true} {
		_, log := f.OK(t, Run{Args: []string{"hostfiles", host, f.Helper, "/etc/passwd", "/usr", "/home", "/root"}, AsRoot: asRoot})
		if want := "bin\ndev\nproc\nsys\ntmp\n"; log != want {
			t.Errorf("/ has %q, want %q", log, want)
		}
	}
}

func testNoHostProcesses(t *testing.T, f *Fixture) {
	f.OK(t, Run{Args: []string{"processes"}})
	f.OK(t, Run{Args: []string{"processes"}, AsRoot: true})
}

func testEnvironment(t *testing.T, f *Fixture) {
	_, log := f.OK(t, Run{Args: []string{"env"}, Env: map[string]string{"A": "b c", "EMPTY": ""}})
	want := "A=b c\nEMPTY=\nHOME=/tmp/home\nLC_ALL=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSOURCE_DATE_EPOCH=315532800\nTMPDIR=/tmp\nTZ=UTC\n"
	if log != want {
		t.Errorf("environment\n%swant\n%s", log, want)
	}
	if _, log := f.OK(t, Run{Args: []string{"stdin"}}); log != "stdin: \"\"\n" {
		t.Errorf("%s", log)
	}
}

func testInputs(t *testing.T, f *Fixture) {
	in := map[string]string{"in/a": "a", "in/b": "b", "in/d/c": "c"}
	big := strings.Repeat("0123456789abcdef", 4096) // a file of its own in the store, not part of a pack
	in["in/big"] = big
	// All of these succeed: the action has a view of its own.
	f.OK(t, Run{Root: in, Args: []string{"script", "write:/in/a:changed", "rm:/in/b", "rm:/in/d", "write:/in/big:x", "chmod:/in/a:600", "rm:/bin/helper", "read:/in/a"}})
	f.OK(t, Run{Root: in, AsRoot: true, Args: []string{"script", "write:/in/a:changed", "write:/in/big:x", "chmod:/in/big:777"}})
	_, log := f.OK(t, Run{Root: in, Args: []string{"script", "read:/in/a", "read:/in/b", "read:/in/d/c", "read:/in/big", "mode:/in/big"}})
	if want := "/in/a: a\n/in/b: b\n/in/d/c: c\n/in/big: " + big + "\n/in/big: -rw-r--r-- 1000:1000\n"; log != want {
		t.Errorf("inputs afterwards: %.200q", log)
	}
}

func testNothingLeft(t *testing.T, f *Fixture) {
	if !f.Local {
		t.Skip("only this machine can be looked at")
	}
	mark := fmt.Sprintf("left-%d-%d", os.Getpid(), time.Now().UnixNano())
	_, log := f.OK(t, Run{Args: []string{"daemon", mark}})
	if !strings.Contains(log, "started") {
		t.Fatal(log)
	}
	if pid := Find(t, mark); pid != "" {
		t.Errorf("process %s is still there", pid)
	}
}

// Find gives the pid of a process of this machine with mark among its arguments, or "".
func Find(t testing.TB, mark string) string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), mark) && filepath.Dir(p) != fmt.Sprintf("/proc/%d", os.Getpid()) {
			return filepath.Base(filepath.Dir(p))
		}
	}
	return ""
}

func testForbidden(t *testing.T, f *Fixture) {
	f.OK(t, Run{Args: []string{"forbidden"}})
	f.OK(t, Run{Args: []string{"forbidden"}, AsRoot: true})
}

func testIdentity(t *testing.T, f *Fixture) {
	_, log := f.OK(t, Run{Args: []string{"identity"}, Root: map[string]string{"work/": ""}, Dir: "/work"})
	want := `uid 1000 gid 1000 host hewn dir /work sid true
Umask: 0022
SigBlk: 0000000000000000
SigIgn: 0000000000000000
CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapBnd: 0000000000000000
CapAmb: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
`
	if log != want {
		t.Errorf("got\n%swant\n%s", log, want)
	}
	_, log = f.OK(t, Run{Args: []string{"identity"}, AsRoot: true})
	if !strings.HasPrefix(log, "uid 0 gid 0 host hewn dir / sid true\n") || !strings.Contains(log, "CapEff: 00000000000000ff\n") || !strings.Contains(log, "CapBnd: 00000000000000ff\n") {
		t.Errorf("as root:\n%s", log)
	}
}

func testLoopback(t *testing.T, f *Fixture) { f.OK(t, Run{Args: []string{"loopback"}}) }

func testDevices(t *testing.T, f *Fixture) {
	f.OK(t, Run{Args: []string{"devices"}})
	f.OK(t, Run{Args: []string{"devices"}, AsRoot: true})
}

func testModes(t *testing.T, f *Fixture) {
	_, log := f.OK(t, Run{Root: map[string]string{"in/file": "x", "in/link": "-> file"}, Outputs: []string{"/deep/er/out"},
		Env:  map[string]string{"HOME": "/my/home"},
		Args: []string{"script", "mode:/", "mode:/bin/helper", "mode:/in", "mode:/in/file", "mode:/tmp", "mode:/tmp/home", "mode:/my/home", "mode:/deep/er", "write:/deep/er/out:x", "mode:/deep/er/out", "list:/sys"}})
	want := `/: drwxr-xr-x 1000:1000
/bin/helper: -rwxr-xr-x 1000:1000
/in: drwxr-xr-x 1000:1000
/in/file: -rw-r--r-- 1000:1000
/tmp: dtrwxrwxrwx 1000:1000
/tmp/home: drwxr-xr-x 1000:1000
/my/home: drwxr-xr-x 1000:1000
/deep/er: drwxr-xr-x 1000:1000
/deep/er/out: -rw-r--r-- 1000:1000
`
	if log != want {
		t.Errorf("got\n%swant\n%s", log, want)
	}
}

func testExitCodes(t *testing.T, f *Fixture) {
	for _, c := range []struct {
		args []string
		want int
	}{{[]string{"true"}, 0}, {[]string{"exit", "1"}, 1}, {[]string{"exit", "77"}, 77}, {[]string{"signalme", "15"}, 143}, {[]string{"signalme", "9"}, 137}} {
		out, log := f.Do(t, Run{Args: c.args, Outputs: []string{"/never"}})
		if out.ExitCode != c.want {
			t.Errorf("%v: exit code %d, want %d; %s", c.args, out.ExitCode, c.want, log)
		}
		if !out.Output.IsZero() || (out.ExitCode != 0) != (len(out.Missing) == 0) {
			t.Errorf("%v: output %s, missing %v", c.args, out.Output, out.Missing)
		}
	}
}

func testNotStarted(t *testing.T, f *Fixture) {
	for _, c := range []struct {
		run  Run
		code int
		log  string
	}{
		{Run{Args: []string{"no-such-program"}, Command: true}, 127, "no-such-program"},
		{Run{Args: []string{"/bin/no"}, Command: true}, 127, "/bin/no"},
		{Run{Args: []string{"/data"}, Command: true, Root: map[string]string{"data": "x"}}, 126, "/data"},
		{Run{Args: []string{"true"}, Dir: "/no/such"}, 126, "/no/such"},
	} {
		out, log := f.Do(t, c.run)
		if out.ExitCode != c.code || !strings.Contains(log, c.log) {
			t.Errorf("%v: exit code %d, want %d; log %q", c.run.Args, out.ExitCode, c.code, log)
		}
	}
	if _, log := f.OK(t, Run{Args: []string{"helper", "echo", "found"}, Command: true, Env: map[string]string{"PATH": "/nowhere:/bin"}}); log != "found\n" {
		t.Errorf("through PATH: %q", log)
	}
}

func testLog(t *testing.T, f *Fixture) {
	var seen strings.Builder
	r := f.Request(t, Run{Args: []string{"flood", fmt.Sprint(3 << 20)}})
	r.Log = &seen
	out, err := f.Executor.Execute(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	log := f.Log(t, out)
	if log != seen.String() || len(log) != 3<<20+len("the end\n") || !strings.HasSuffix(log, "the end\n") {
		t.Errorf("a log of %d bytes, of which %d were seen", len(log), seen.Len())
	}
}

func testOutputs(t *testing.T, f *Fixture) {
	out, _ := f.OK(t, Run{Outputs: []string{"/file", "/tree", "/empty", "/link"}, Args: []string{"script",
		"write:/file:1", "write:/not-declared:x", "mkdir:/tree/sub/deeper", "write:/tree/a:a", "exec:/tree/sub/run:#!", "link:/tree/sub/l:../a",
		"hardlink:/tree/hard:/tree/a", "link:/link:/absolute/target", "mkdir:/empty", "write:/tree/secret:s", "chmod:/tree/secret:0", "write:/tree/sub/deeper/x:x",
		"chmod:/tree/sub/deeper:0", "chmod:/tree/sub:500", "write:/tree/é ü:unicode"}})
	want := `empty/
file = 1
link -> /absolute/target
tree/
tree/a = a
tree/hard = a
tree/secret = s
tree/sub/
tree/sub/deeper/
tree/sub/deeper/x = x
tree/sub/l -> ../a
tree/sub/run* = #!
tree/é ü = unicode
`
	if got := f.Text(t, out.Output); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	out, _ = f.OK(t, Run{Args: []string{"true"}})
	if out.Output != tree.Empty {
		t.Errorf("without outputs: %s", out.Output)
	}
	miss, _ := f.Do(t, Run{Outputs: []string{"/a", "/b/c", "/file"}, Args: []string{"script", "write:/file:1"}})
	if fmt.Sprint(miss.Missing) != "[/a /b/c]" || !miss.Output.IsZero() || miss.ExitCode != 0 {
		t.Errorf("missing %v, output %s", miss.Missing, miss.Output)
	}
}

// testOutputsOfInputs declares outputs that were partly inputs.
func testOutputsOfInputs(t *testing.T, f *Fixture) {
	in := map[string]string{"d/keep": "keep", "d/change": "old", "d/gone": "x", "d/sub/keep": "k", "d/sub/gone": "x", "d/replaced/old": "x",
		"d/todir": "x", "d/tofile/x": "x", "d/untouched/deep/file": "u", "d/link": "-> keep", "f": "f", "e/": ""}
	out, _ := f.OK(t, Run{Root: in, Outputs: []string{"/d", "/e", "/f"}, Args: []string{"script", "write:/d/change:new", "rm:/d/gone", "rm:/d/sub/gone",
		"rm:/d/replaced", "mkdir:/d/replaced", "write:/d/replaced/new:n", "rm:/d/todir", "mkdir:/d/todir", "rm:/d/tofile", "write:/d/tofile:x", "write:/d/added:a"}})
	want := `d/
d/added = a
d/change = new
d/keep = keep
d/link -> keep
d/replaced/
d/replaced/new = n
d/sub/
d/sub/keep = k
d/todir/
d/tofile = x
d/untouched/
d/untouched/deep/
d/untouched/deep/file = u
e/
f = f
`
	if got := f.Text(t, out.Output); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	miss, _ := f.Do(t, Run{Root: in, Outputs: []string{"/d/gone", "/d/replaced/old", "/d/sub/keep"}, Args: []string{"script", "rm:/d"}})
	if fmt.Sprint(miss.Missing) != "[/d/gone /d/replaced/old /d/sub/keep]" {
		t.Errorf("missing %v", miss.Missing)
	}
	out, _ = f.OK(t, Run{Root: in, Outputs: []string{"/d/sub", "/moved"}, Args: []string{"script", "rename:/d/keep:/moved"}})
	if got := f.Text(t, out.Output); got != "d/\nd/sub/\nd/sub/gone = x\nd/sub/keep = k\nmoved = keep\n" {
		t.Errorf("got\n%s", got)
	}
}

func testBadOutputs(t *testing.T, f *Fixture) {
	for _, c := range []struct{ name, make, want string }{
		{"socket", "socket:/out/s", "/out/s"},
		{"pipe", "fifo:/out/p", "/out/p"},
		{"name", "write:/out/a%ff:x", `/out/a\xff`},
	} {
		_, err := f.Executor.Execute(t.Context(), f.Request(t, Run{Outputs: []string{"/out"}, Args: []string{"script", "mkdir:/out", c.make}}))
		if c.name == "socket" && err == nil {
			continue // a listener may remove its socket at the end
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	_, err := f.Executor.Execute(t.Context(), f.Request(t, Run{Outputs: []string{"/lib/x"}, Root: map[string]string{"usr/lib/": "", "lib": "-> usr/lib"},
		Args: []string{"script", "write:/lib/x:1"}}))
	if err == nil || !strings.Contains(err.Error(), "`/lib`") {
		t.Errorf("output behind a link: %v", err)
	}
}

func testLayers(t *testing.T, f *Fixture) {
	layers := []executor.Layer{
		{Tree: f.Tree(t, map[string]string{"x": "x", "d/one": "1"}), At: "/app/lib"},
		{Tree: f.Tree(t, map[string]string{"d/two": "2", "y": "y"}), At: "/app/lib"},
		{Tree: f.Tree(t, map[string]string{"app/z": "z"}), At: "/"},
		{Tree: tree.Empty, At: "/app/empty"},
	}
	args := []string{"script", "read:/app/lib/x", "read:/app/lib/d/one", "read:/app/lib/d/two", "read:/app/z", "list:/app", "list:/app/empty", "rm:/app/lib/x", "write:/app/lib/d/three:3"}
	out, log := f.OK(t, Run{Layers: layers, Args: args, Outputs: []string{"/app"}})
	if want := "/app/lib/x: x\n/app/lib/d/one: 1\n/app/lib/d/two: 2\n/app/z: z\n/app/empty\n/app/lib\n/app/z\n"; log != want {
		t.Errorf("got\n%swant\n%s", log, want)
	}
	// The same from the merged root alone.
	r := f.Request(t, Run{Layers: layers, Args: args, Outputs: []string{"/app"}})
	r.Layers = nil
	alone, err := f.Executor.Execute(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Output != out.Output || alone.Log != out.Log {
		t.Errorf("from the merged root:\n%s", f.Log(t, alone))
	}
}

func testManyLayers(t *testing.T, f *Fixture) {
	var layers []executor.Layer
	args := []string{"script"}
	for i := range 40 {
		layers = append(layers, executor.Layer{Tree: f.Tree(t, map[string]string{fmt.Sprint("file", i): "x"}), At: fmt.Sprintf("/l/%d", i%7)})
		args = append(args, fmt.Sprintf("read:/l/%d/file%d", i%7, i))
	}
	f.OK(t, Run{Layers: layers, Args: args})
}

func testTime(t *testing.T, f *Fixture) {
	begin := time.Now()
	out, log := f.Do(t, Run{Args: []string{"sleep", "1m"}, Limits: executor.Limits{Time: 300 * time.Millisecond}})
	if out.Killed != "time" || out.ExitCode == 0 || len(out.Hints) == 0 || log != "sleeping\n" {
		t.Errorf("killed %q, exit code %d, hints %q, log %q", out.Killed, out.ExitCode, out.Hints, log)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func testProcessLimit(t *testing.T, f *Fixture) {
	out, log := f.Do(t, Run{Args: []string{"processor", "500"}, Limits: executor.Limits{Processes: 100}})
	// The kernel refuses the 101st process to ordinary users; the machine's root is stopped instead.
	if out.Killed != "processes" && !strings.Contains(log, "stopped at") || out.ExitCode == 0 {
		t.Errorf("killed %q, exit code %d, log %q", out.Killed, out.ExitCode, log)
	}
}

func testMemory(t *testing.T, f *Fixture) {
	out, log := f.Do(t, Run{Args: []string{"memory", "4000"}, Limits: executor.Limits{Memory: 100 << 20}})
	if out.Killed != "memory" || out.ExitCode == 0 || out.PeakRSS < 100<<20 {
		t.Errorf("killed %q, exit code %d, peak %d; %s", out.Killed, out.ExitCode, out.PeakRSS, log)
	}
}

func testCancel(t *testing.T, f *Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	r := f.Request(t, Run{Args: []string{"sleep", "1m"}})
	r.Log = writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})
	out, err := f.Executor.Execute(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if out.Killed != "cancelled" || out.ExitCode == 0 {
		t.Errorf("%+v", out)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func testHints(t *testing.T, f *Fixture) {
	out, log := f.Do(t, Run{Args: []string{"script", "chown:/tmp:12345"}})
	if out.ExitCode == 0 || len(out.Hints) != 1 || !strings.Contains(out.Hints[0], "chown") {
		t.Errorf("hints %q for %q", out.Hints, log)
	}
}

func testParallel(t *testing.T, f *Fixture) {
	for i := range 30 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			out, _ := f.OK(t, Run{Args: []string{"script", fmt.Sprintf("write:/out:%d", i)}, Outputs: []string{"/out"}})
			if got := f.Text(t, out.Output); got != fmt.Sprintf("out = %d\n", i) {
				t.Error(got)
			}
		})
	}
}
