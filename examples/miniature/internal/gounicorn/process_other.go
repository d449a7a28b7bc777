//go:build !linux

package gounicorn

import "syscall"

// processAttributes puts gunicorn into a process group of its own, so that Ctrl-C reaches it through us only.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
