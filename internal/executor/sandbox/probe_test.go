//go:build linux

package sandbox_test

import (
	"testing"

	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
)

func TestProbe(t *testing.T) {
	r := sandbox.Probe(t.TempDir())
	if r.Problem != nil {
		executortest.Skip(t, "no sandbox here: %v", r.Problem)
	}
	names := map[string]bool{}
	for _, c := range r.Checks {
		names[c.Name] = true
		t.Logf("%-40s %-5v %s", c.Name, c.OK, c.Detail)
	}
	for _, want := range []string{"kernel", "user namespaces", "AppArmor", "copy of the root", "cgroup delegation"} {
		if !names[want] {
			t.Errorf("nothing about %s", want)
		}
	}
	asUser(t)
}
