//go:build !linux

package sandbox

import (
	"context"
	"runtime"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// Sandbox cannot be made on this system: New says so. Actions for Linux run on a cluster instead.
type Sandbox struct{}

// New fails: only Linux has what a sandbox is made of.
func New(Config) (*Sandbox, error) { return nil, notHere() }

func notHere() error {
	return diag.Environmentf("no-sandbox", "%s has no sandbox for actions: it is made of Linux namespaces", runtime.GOOS).
		Hint("run hewn on Linux, in a virtual machine if need be, or give it a remote executor")
}

// ServerMain is false: there is no server on this system.
func ServerMain([]string) bool { return false }

// Execute fails like New.
func (*Sandbox) Execute(context.Context, executor.Request) (*executor.Outcome, error) {
	return nil, notHere()
}

// Open fails like New.
func (*Sandbox) Open(context.Context, string) (executor.Session, error) { return nil, notHere() }

// Close has nothing to end.
func (*Sandbox) Close() error { return nil }

// Probe says that there is nothing to probe.
func Probe(string) *Report { return &Report{Problem: notHere()} }
