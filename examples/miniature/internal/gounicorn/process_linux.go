package gounicorn

import "syscall"

// processAttributes puts gunicorn into a process group of its own, so that Ctrl-C reaches it through us only, and lets it
// end when we are killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
