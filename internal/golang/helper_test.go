package golang

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// cacheServer is the helper, compiled and running.
type cacheServer struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Scanner
	id  int64
}

func startCacheServer(t testing.TB, program, read, write string) *cacheServer {
	t.Helper()
	cmd := exec.Command(program, read, write)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &cacheServer{t: t, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	if hello := s.answer(); fmt.Sprint(hello["KnownCommands"]) != "[get put close]" {
		t.Fatalf("got %v", hello)
	}
	return s
}

func (s *cacheServer) answer() map[string]any {
	s.t.Helper()
	if !s.out.Scan() {
		s.t.Fatal("no answer")
	}
	var a map[string]any
	if err := json.Unmarshal(s.out.Bytes(), &a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *cacheServer) ask(command string, action, output, body []byte) map[string]any {
	s.t.Helper()
	s.id++
	q, _ := json.Marshal(map[string]any{"ID": s.id, "Command": command, "ActionID": action, "OutputID": output, "BodySize": len(body)})
	fmt.Fprintf(s.in, "%s\n", q)
	if len(body) > 0 {
		fmt.Fprintf(s.in, "%q\n", base64.StdEncoding.EncodeToString(body))
	}
	a := s.answer()
	if got := a["ID"]; got != float64(s.id) {
		s.t.Fatalf("answer to %v, asked %d", got, s.id)
	}
	return a
}

// TestCacheServer speaks the protocol of GOCACHEPROG with the helper as the toolchain here compiles it.
func TestCacheServer(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": helperSource, "go.mod": "module gocache\n\ngo 1.21\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command(goTool, "build", "-o", "gocache", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, first, second := filepath.Join(dir, "gocache"), filepath.Join(dir, "1"), filepath.Join(dir, "2")
	action, output, body := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte("content\n"), 100_000)

	s := startCacheServer(t, program, first, first)
	if a := s.ask("get", action, nil, nil); a["Miss"] != true {
		t.Errorf("got %v", a)
	}
	for range 2 { // the same again is no fault
		if got, err := os.ReadFile(fmt.Sprint(s.ask("put", action, output, body)["DiskPath"])); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if a := s.ask("put", output, action, nil); a["Err"] != nil {
		t.Errorf("an empty entry: %v", a)
	}
	if a := s.ask("trim", nil, nil, nil); a["Err"] == nil {
		t.Errorf("got %v", a)
	}
	s.ask("close", nil, nil, nil)

	s = startCacheServer(t, program, first, second)
	a := s.ask("get", action, nil, nil)
	if got, err := os.ReadFile(fmt.Sprint(a["DiskPath"])); err != nil || !bytes.Equal(got, body) || a["Time"] != "1980-01-01T00:00:00Z" {
		t.Errorf("%v, %v", a, err)
	}
	if a := s.ask("get", output, nil, nil); a["Miss"] == true {
		t.Errorf("the empty entry is lost: %v", a)
	}
	s.ask("put", bytes.Repeat([]byte{3}, 32), output, body)
	if _, err := os.Stat(at(second, "o", output)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(at(first, "a", bytes.Repeat([]byte{3}, 32))); err == nil {
		t.Error("what is only read from was written to")
	}
}

func at(dir, kind string, id []byte) string {
	return filepath.Join(dir, kind, fmt.Sprintf("%x", id[:1]), fmt.Sprintf("%x", id))
}
