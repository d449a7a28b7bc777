package sandbox

import (
	"errors"
	"syscall"

	"hewn.example/hewn/internal/diag"
)

// noNamespaces is the problem of a machine that refuses what every sandbox starts with.
func noNamespaces(err error) error {
	p := diag.Environmentf("no-user-namespaces", "cannot make a user namespace, which the sandbox needs").Because(err)
	if errors.Is(err, syscall.ENOSPC) {
		p.Hint("raise the limit: sysctl user.max_user_namespaces=15000")
	}
	return p.Hint("`hewn doctor` says what this machine allows and how to allow more")
}

// refusal is the problem of a machine that makes user namespaces, but allows nothing in them.
func refusal(r *reply) error {
	err := errors.New(r.Err)
	if r.Stage == stageProc {
		return diag.Environmentf("no-proc", "cannot mount /proc in the sandbox").Because(err).
			Hint("inside a container, start it so that nothing of its own /proc is hidden (Docker: --security-opt systempaths=unconfined; Podman: --security-opt unmask=ALL)").
			Hint("`hewn doctor` says what this machine allows")
	}
	return diag.Environmentf("no-user-namespaces", "cannot use user namespaces, which the sandbox needs").Because(err).
		Hint("Ubuntu 24.04 and later need an AppArmor profile for hewn: `hewn doctor` prints it").
		Hint("inside a container, let it make user namespaces (Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)")
}
