//go:build linux

package sandbox

import (
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/diag"
)

// TestServerDies says what a user sees if the server is killed, by the machine's memory killer for example.
func TestServerDies(t *testing.T) {
	s, err := New(Config{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.try(ModeOverlay); err != nil {
		t.Skipf("no overlay here: %v", err)
	}
	s.client.process.Kill()
	select {
	case <-s.client.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not die")
	}
	err = s.try(ModeOverlay)
	if err == nil || diag.ExitCode(err) != 3 || !strings.Contains(err.Error(), "the sandbox's server ended") {
		t.Errorf("%v", err)
	}
}

func TestFilterFits(t *testing.T) {
	if n := len(filterProgram()); n > 4096 {
		t.Errorf("%d instructions, of which the kernel takes 4096", n)
	}
	for i, in := range filterProgram() {
		if in.Code&0x07 == 0x05 && i+1+int(max(in.Jt, in.Jf)) >= len(filterProgram()) {
			t.Errorf("instruction %d jumps out of the program", i)
		}
	}
}
