package executortest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// TestRoots runs the suite for actions with further roots, for executors that can run them.
func TestRoots(t *testing.T, open func(t *testing.T) *Fixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Fixture)
	}{
		{"ProcessesAndOutputs", testRootsProcesses},
		{"ReadOnly", testRootsReadOnly},
		{"Writable", testRootsWritable},
		{"Users", testRootsUsers},
		{"Network", testRootsNetwork},
		{"Confined", testRootsConfined},
		{"Signals", testRootsSignals},
		{"BadRequests", testRootsBadRequests},
		{"Log", testRootsLog},
		{"DriverFails", testRootsDriverFails},
		{"NothingLeftBehind", testRootsNothingLeft},
		{"TimeLimit", testRootsTime},
		{"MemoryLimit", testRootsMemory},
		{"ProcessLimit", testRootsProcessLimit},
		{"Cancel", testRootsCancel},
		{"Hints", testRootsLayers},
		{"Parallel", testRootsParallel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// drive is a driver that does steps beside a root called image, which is read-only, and one called db.
func drive(steps ...string) Run {
	return Run{Args: append([]string{"drive"}, steps...), Further: []Further{
		{Name: "image", Files: map[string]string{"etc/name": "image", "data/file": "x"}, ReadOnly: true, Tmpfs: []string{"/data", "/var/lib/deep/er"}},
		{Name: "db", Files: map[string]string{"etc/name": "db", "var/file": "x"}},
	}}
}

// call is a request for the helper with args in a root; fields are further ones of the request, as JSON.
func call(root, fields string, args ...string) string {
	quoted := []string{`"/bin/helper"`}
	for _, a := range args {
		quoted = append(quoted, fmt.Sprintf("%q", a))
	}
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"root":%q,"args":[%s]%s}`, root, strings.Join(quoted, ","), fields)
}

// driverSaid compares a log, in which lines of different processes come in any order, by what the driver printed.
func driverSaid(t *testing.T, log, want string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "image: ") && !strings.HasPrefix(line, "db: ") {
			b.WriteString(line)
		}
	}
	if b.String() != want {
		t.Errorf("the driver printed\n%swant\n%sthe whole log:\n%s", b.String(), want, log)
	}
}

func testRootsProcesses(t *testing.T, f *Fixture) {
	r := drive("run:a:"+call("image", "", "script", "read:/etc/name", "list:/"), "run:b:"+call("db", `"dir":"/var"`, "script", "read:file"),
		`run:c:{"root":"db","args":["helper","env"],"env":{"PATH":"/nowhere:/bin","B":"=","A":""}}`, "do:mkdir:/out", "do:write:/out/result:done", "do:list:/run/hewn", "do:read:/mine")
	r.Root, r.Outputs = map[string]string{"mine": "driver"}, []string{"/out"}
	out, log := f.OK(t, r)
	driverSaid(t, log, `a: started
a: exit 0, "/etc/name: image\n/bin\n/data\n/dev\n/etc\n/proc\n/sys\n/tmp\n/var\n"
b: started
b: exit 0, "file: x\n"
c: started
c: exit 0, "A=\nB==\nPATH=/nowhere:/bin\n"
/run/hewn/control.sock
/mine: driver
`)
	if got := f.Text(t, out.Output); got != "out/\nout/result = done\n" {
		t.Errorf("outputs\n%s", got)
	}
	miss, _ := f.Do(t, Run{Args: []string{"drive", "do:write:/a:1"}, Further: []Further{{Name: "image"}}, Outputs: []string{"/a", "/b"}})
	if fmt.Sprint(miss.Missing) != "[/b]" || miss.ExitCode != 0 {
		t.Errorf("%+v", miss)
	}
}

// A read-only root refuses every write, for every user, but in what is in memory.
func testRootsReadOnly(t *testing.T, f *Fixture) {
	var steps []string
	want := ""
	for _, user := range []string{`"uid":0,"gid":0`, "", `"uid":65534`} {
		steps = append(steps, "run:a:"+call("image", user, "refuses", "/etc/name", "/bin/helper", "/new", "/etc", "/var/lib/deep"),
			"run:b:"+call("image", user, "script", "absent:/data/file", "write:/data/x:1", "write:/var/lib/deep/er/x:2", "write:/tmp/x:3", "write:/dev/shm/x:4"),
			"run:c:"+call("image", user, "script", "read:/data/x", "read:/var/lib/deep/er/x", "read:/tmp/x", "read:/dev/shm/x", "rm:/data/x"))
		want += `a: started
a: exit 0, ""
b: started
b: exit 0, ""
c: started
c: exit 0, "/data/x: 1\n/var/lib/deep/er/x: 2\n/tmp/x: 3\n/dev/shm/x: 4\n"
`
	}
	steps = append(steps, "run:d:"+call("image", "", "script", "mode:/tmp", "mode:/data", "mode:/dev/shm", "mode:/etc/name"))
	_, log := f.OK(t, drive(steps...))
	driverSaid(t, log, want+`d: started
d: exit 0, "/tmp: dtrwxrwxrwx 1000:1000\n/data: dtrwxrwxrwx 1000:1000\n/dev/shm: dtrwxrwxrwx 1000:1000\n/etc/name: -rw-r--r-- 1000:1000\n"
`)
}

// What is written to a writable root stays there, for this action, and in this root.
func testRootsWritable(t *testing.T, f *Fixture) {
	for range 2 {
		_, log := f.OK(t, drive("run:a:"+call("db", "", "script", "read:/etc/name", "write:/etc/name:changed", "mkdir:/var/lib", "write:/tmp/x:y", "rm:/var/file"),
			"run:b:"+call("db", `"uid":70,"gid":71`, "script", "read:/etc/name", "read:/tmp/x", "absent:/var/file", "mode:/var/lib"),
			"run:c:"+call("image", "", "script", "absent:/tmp/x", "read:/etc/name"), "do:absent:/etc/name", "do:absent:/tmp/x", "do:write:/etc:mine"))
		driverSaid(t, log, `a: started
a: exit 0, "/etc/name: db\n"
b: started
b: exit 0, "/etc/name: changed\n/tmp/x: y\n/var/lib: drwxr-xr-x 70:71\n"
c: started
c: exit 0, "/etc/name: image\n"
`)
	}
}

func testRootsUsers(t *testing.T, f *Fixture) {
	var steps []string
	want := ""
	for _, c := range []struct{ given, want, caps string }{
		{"", "uid 1000 gid 1000", "0000000000000000"}, {`"uid":0,"gid":0`, "uid 0 gid 0", "00000000000000ff"}, {`"uid":65534,"gid":65534`, "uid 65534 gid 65534", "0000000000000000"},
		{`"uid":70,"gid":0`, "uid 70 gid 0", "0000000000000000"}, {`"uid":0`, "uid 0 gid 1000", "00000000000000ff"}, {`"uid":4294967294,"gid":4294967294`, "uid 4294967294 gid 4294967294", "0000000000000000"},
	} {
		steps = append(steps, "run:u:"+call("image", c.given, "identity"))
		want += "u: started\nu: exit 0, \"" + c.want + ` host hewn dir / sid true\nUmask: 0022\nSigBlk: 0000000000000000\nSigIgn: 0000000000000000\nCapInh: 0000000000000000\nCapPrm: ` +
			c.caps + `\nCapEff: ` + c.caps + `\nCapBnd: ` + c.caps + `\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n"` + "\n"
	}
	_, log := f.OK(t, drive(steps...))
	driverSaid(t, log, want)
	_, log = f.OK(t, Run{Args: []string{"drive", "do:mode:/tmp"}, AsRoot: true, Further: []Further{{Name: "image"}}})
	driverSaid(t, log, "/tmp: dtrwxrwxrwx 0:0\n")
}

// All roots of an action have one loopback, which is nobody else's.
func testRootsNetwork(t *testing.T, f *Fixture) {
	for range 2 { // the same port again
		_, log := f.OK(t, drive("start:s:"+call("db", "", "serve", "127.0.0.1:5432"), "reach:127.0.0.1:5432", "start:t:"+call("image", "", "serve", "127.0.0.1:9000"),
			"run:c:"+call("image", "", "fetch", "127.0.0.1:5432", "over there"), "reach:127.0.0.1:9000", "run:n:"+call("image", "", "network")))
		driverSaid(t, log, "s: started\nREACHED\nt: started\nc: started\nc: exit 0, \"OVER THERE\\n\"\nREACHED\nn: started\nn: exit 0, \"\"\n")
	}
}

// A process in a further root is as confined as an action, and has its own processes only.
func testRootsConfined(t *testing.T, f *Fixture) {
	_, log := f.OK(t, drive("start:s:"+call("image", "", "sleep", "1h"), "run:p:"+call("image", "", "processes"), "run:q:"+call("db", `"uid":0`, "processes"),
		"run:f:"+call("db", "", "forbidden"), "run:g:"+call("image", `"uid":0`, "forbidden"),
		`run:d:`+call("image", `"env":{"HOME":"/data"}`, "devices"), "run:x:"+call("image", "", "hostfiles", f.Helper, "/usr", "/home", "/run/hewn"), "run:l:"+call("db", "", "loopback")))
	for _, name := range strings.Split("pqfgdxl", "") {
		if !strings.Contains(log, name+": exit 0, ") {
			t.Errorf("%s failed:\n%s", name, log)
		}
	}
	for _, task := range []string{"forbidden", "processes"} { // the driver itself
		f.OK(t, Run{Args: []string{task}, Further: []Further{{Name: "image"}}})
	}
}

func testRootsSignals(t *testing.T, f *Fixture) {
	_, log := f.OK(t, drive("start:a:"+call("image", "", "onterm", "7"), "start:s:"+call("db", "", "serve", "127.0.0.1:1234"), "reach:127.0.0.1:1234",
		"sleep:200ms", `say:a:{"signal":15}`, "wait:a", `say:s:{"signal":9}`, "wait:s",
		"start:b:"+call("db", "", "sleep", "1h"), "sleep:200ms", `say:b:{"signal":15}`, "wait:b", "run:c:"+call("db", "", "exit", "77")))
	driverSaid(t, log, `a: started
s: started
REACHED
a: exit 7, "ready\nterminated\n"
s: exit 137, "ready\n"
b: started
b: exit 143, "sleeping\n"
c: started
c: exit 77, ""
`)
}

func testRootsBadRequests(t *testing.T, f *Fixture) {
	cases := []struct{ line, want string }{
		{`{"root":"images","args":["x"]}`, `there is no root "images"; the roots are: db, image`},
		{`{"args":["x"]}`, `the request names no root; the roots are: db, image`},
		{`{"root":"","args":["x"]}`, `the request names no root`},
		{`{"root":"image"}`, `no command`},
		{`{"root":"image","args":[]}`, `no command`},
		{`{"root":"image","args":[""]}`, `no command`},
		{`{"root":"image","args":"x"}`, `cannot be read: json: cannot unmarshal string`},
		{`{"root":"image","args":["x"],"user":"me"}`, `unknown field "user"`},
		{`{"root":"image","args":["x"]}{}`, `something stands after`},
		{`{"root":"image","args":["x"]`, `cannot be read: unexpected EOF`},
		{`hello`, `the request "hello" cannot be read`},
		{``, `cannot be read`},
		{`{"root":"image","args":["x"],"uid":-1}`, `uid -1 is no user`},
		{`{"root":"image","args":["x"],"gid":4294967295}`, `gid 4294967295 is no user or group`},
		{`{"root":"image","args":["x"],"env":{"A=B":"c"}}`, `the variable "A=B" in env`},
		{`{"root":"image","args":["x"],"env":{"":"c"}}`, `the variable "" in env`},
		{`{"root":"image","args":["x"],"dir":"data"}`, `dir "data" is not absolute`},
		{`{"root":"image","args":["x\u0000"]}`, `contains a zero byte`},
		{`{"root":"image","args":["/bin/none"]}`, "root `image`: cannot start `/bin/none`: execute: no such file or directory"},
		{`{"root":"image","args":["helper"]}`, "cannot start `helper`: execute: no such file or directory"},
		{`{"root":"image","args":["/etc/name"]}`, "cannot start `/etc/name`: execute: permission denied"},
		{`{"root":"image","args":["/bin/helper","true"],"dir":"/none"}`, "its working directory `/none` must exist"},
	}
	var steps []string
	for _, c := range cases {
		steps = append(steps, "start:a:"+c.line)
	}
	_, log := f.OK(t, drive(steps...))
	lines := strings.Split(log, "\n")
	for i, c := range cases {
		if !strings.HasPrefix(lines[i], "a: error: ") || !strings.Contains(lines[i], c.want) {
			t.Errorf("%s: %s", c.line, lines[i])
		}
	}
	_, log = f.OK(t, drive("long:a:2000000", "long:b:1000000", "start:c:"+call("db", "", "sleep", "1h"), "say:c:stop", "hear:c", `say:c:{"signal":65}`, "hear:c", `say:c:{"signal":15}`, "wait:c"))
	for _, want := range []string{"a: error: the line is longer than 1048576 bytes\n", `b: error: there is no root "xxx`, "N from 1 to 64, not \"stop\"\n", `not "{\"signal\":65}"`, "c: exit 143,"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %.3000s", want, log)
		}
	}
}

// The log has all that the driver and the others wrote, line by line; a driver gets the end of what a process wrote.
func testRootsLog(t *testing.T, f *Fixture) {
	var seen strings.Builder
	r := f.Request(t, drive("start:a:"+call("image", "", "flood", "600000"), "start:b:"+call("db", "", "flood", "600000"), "wait:a", "wait:b"))
	r.Log = writerFunc(func(p []byte) (int, error) { return seen.Write(p) })
	out, err := f.Executor.Execute(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	log := f.Log(t, out)
	if log != seen.String() {
		t.Errorf("a log of %d bytes, of which %d were seen", len(log), seen.Len())
	}
	line := strings.Repeat("x", 1023) + "\n"
	n := (600000 + 1023) / 1024
	for _, name := range []string{"image: ", "db: "} {
		if got := strings.Count(log, name+line); got < n-1 || strings.Count(log, name+"the end\n") != 1 {
			t.Errorf("%s: %d whole lines of %d", name, got, n)
		}
	}
	if i := strings.Index(log, "a: exit 0, "); i < 0 || strings.Index(log[i:], "the end") > 64<<10+1000 || strings.Index(log[i:], "the end") < 60<<10 {
		t.Error("the driver did not get the last 64 KiB")
	}
	// A line without an end gets one; the driver's own stay as they are.
	_, text := f.OK(t, drive("run:a:"+call("image", "", "print", "a\nb"), "run:b:"+call("db", "", "print", "c"), "print:the end"))
	for _, want := range []string{"image: a\n", "image: b\n", "db: c\n", "a: exit 0, \"a\\nb\"\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if !strings.HasSuffix(text, "\nthe end") {
		t.Errorf("%q", text)
	}
}

// A driver that fails is a failed action, whose root is kept; the failure of another process is the driver's matter.
func testRootsDriverFails(t *testing.T, f *Fixture) {
	r := drive("run:a:"+call("image", "", "exit", "3"), "start:b:"+call("db", "", "sleep", "1h"), "do:write:/tmp/trace:1", "exit:4")
	r.Keep, r.Outputs = true, []string{"/out"}
	out, log := f.Do(t, r)
	if out.ExitCode != 4 || !out.Output.IsZero() || !strings.Contains(log, "a: exit 3") {
		t.Errorf("%+v\n%s", out, log)
	}
	if f.Local {
		found := false
		filepath.WalkDir(out.Kept, func(p string, _ os.DirEntry, err error) error {
			found = found || filepath.Base(p) == "trace"
			return err
		})
		if !found {
			t.Errorf("what the driver wrote is not in %q", out.Kept)
		}
	}
	for _, c := range []struct {
		run  Run
		code int
	}{{Run{Args: []string{"/bin/none"}, Command: true}, 127}, {Run{Args: []string{"true"}, Dir: "/none"}, 126}} {
		c.run.Further = []Further{{Name: "image"}}
		if out, log := f.Do(t, c.run); out.ExitCode != c.code || !strings.HasPrefix(log, "hewn: cannot") {
			t.Errorf("exit code %d; %s", out.ExitCode, log)
		}
	}
}

// When the driver ends, everything ends, whatever it left running.
func testRootsNothingLeft(t *testing.T, f *Fixture) {
	if !f.Local {
		t.Skip("only this machine can be looked at")
	}
	mark := fmt.Sprintf("roots-left-%d-%d", os.Getpid(), time.Now().UnixNano())
	f.OK(t, drive("start:a:"+call("image", "", "daemon", mark), "start:b:"+call("db", `"uid":0`, "sleep", "1h", mark), "start:c:"+call("db", "", "serve", "unix:/tmp/s", mark), "close:c"))
	if pid := Find(t, mark); pid != "" {
		t.Errorf("process %s is still there", pid)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), "/run/hewn") {
		t.Errorf("%v", err)
	}
}

func testRootsTime(t *testing.T, f *Fixture) {
	r := drive("start:a:"+call("image", "", "sleep", "1h"), "wait:a")
	r.Limits.Time = 500 * time.Millisecond
	out, log := f.Do(t, r)
	if out.Killed != "time" || out.ExitCode == 0 || out.Wall > 20*time.Second || !strings.Contains(log, "image: sleeping\n") {
		t.Errorf("%+v; %s", out, log)
	}
}

// Limits are those of all processes together.
func testRootsMemory(t *testing.T, f *Fixture) {
	r := drive("start:a:"+call("image", "", "memory", "100"), "start:b:"+call("db", "", "memory", "100"), "wait:a")
	r.Limits.Memory = 150 << 20
	out, log := f.Do(t, r)
	if out.Killed != "memory" || out.ExitCode == 0 || out.PeakRSS < 150<<20 {
		t.Errorf("%+v; %s", out, log)
	}
}

func testRootsProcessLimit(t *testing.T, f *Fixture) {
	r := drive("start:a:"+call("image", "", "processor", "25"), "start:b:"+call("db", "", "processor", "25"), "wait:a", "exit:9")
	r.Limits.Processes = 40 // each alone would be within it
	if out, log := f.Do(t, r); out.Killed != "processes" && !strings.Contains(log, "stopped at") || out.ExitCode == 0 {
		t.Errorf("%+v; %s", out, log)
	}
}

func testRootsCancel(t *testing.T, f *Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := f.Request(t, drive("start:a:"+call("image", "", "sleep", "1h"), "wait:a"))
	r.Log = writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "sleeping") {
			cancel()
		}
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

// With the layers that a root is made of, it is what it is without.
func testRootsLayers(t *testing.T, f *Fixture) {
	helper, files := f.Root(t, nil), f.Tree(t, map[string]string{"a/b": "1", "c": "2"})
	merged, err := tree.Merge(t.Context(), f.Store, tree.Part{Tree: helper, At: "/", Origin: "helper"}, tree.Part{Tree: files, At: "/app", Origin: "files"})
	if err != nil {
		t.Fatal(err)
	}
	r := f.Request(t, drive("run:a:"+call("image", "", "script", "read:/app/a/b", "read:/app/c")))
	r.Action.Roots[1].Tree = merged
	for _, hint := range []map[string][]executor.Layer{nil, {"image": {{Tree: helper, At: "/"}, {Tree: files, At: "/app"}}}} {
		r.RootLayers = hint
		out, err := f.Executor.Execute(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if log := f.Log(t, out); out.ExitCode != 0 || !strings.Contains(log, `a: exit 0, "/app/a/b: 1\n/app/c: 2\n"`) {
			t.Errorf("exit code %d; %s", out.ExitCode, log)
		}
	}
}

func testRootsParallel(t *testing.T, f *Fixture) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := drive("start:s:"+call("db", "", "serve", "127.0.0.1:5432"), "reach:127.0.0.1:5432", fmt.Sprintf("do:write:/out:%d", i))
			r.Outputs = []string{"/out"}
			out, _ := f.OK(t, r)
			if got := f.Text(t, out.Output); got != fmt.Sprintf("out = %d\n", i) {
				t.Error(got)
			}
		})
	}
}
