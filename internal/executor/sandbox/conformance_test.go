//go:build linux

package sandbox_test

import (
	"testing"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/executor/executortest"
	"hewn.example/hewn/internal/executor/sandbox"
)

func TestConformance(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeOverlay, sandbox.ModeTmpfs, sandbox.ModeCopy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			_, f, _ := setUp(t, mode)
			executortest.Test(t, func(*testing.T) *executortest.Fixture { return f })
		})
	}
	asUser(t)
}

func TestRoots(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeOverlay, sandbox.ModeTmpfs, sandbox.ModeCopy} {
		t.Run(string(mode), func(t *testing.T) {
			sb, f, _ := setUp(t, mode)
			// Its server must not be forked while another mode copies a program, which could not be executed then.
			se, err := sb.Open(t.Context(), "first")
			if err != nil {
				t.Fatal(err)
			}
			se.Close(0)
			t.Parallel()
			executortest.TestRoots(t, func(*testing.T) *executortest.Fixture { return f })
		})
	}
	asUser(t)
}

func TestSessions(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.ModeOverlay, sandbox.ModeTmpfs, sandbox.ModeCopy} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			sb, f, _ := setUp(t, mode)
			executortest.TestSessions(t, func(*testing.T) (*executortest.Fixture, executor.Sessions) { return f, sb })
		})
	}
	asUser(t)
}
