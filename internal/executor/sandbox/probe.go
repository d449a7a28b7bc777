package sandbox

import "fmt"

// Report says what of the sandbox works on this machine.
type Report struct {
	// Problem says why no action can run here, with what to do; nil if actions can run.
	Problem error
	// Checks are all that was looked at, in a fixed order.
	Checks []Check
	// AppArmorProfile is the profile that lets hewn make user namespaces where only profiled programs may; empty where
	// that is not needed.
	AppArmorProfile string
}

// Check is one thing that the machine allows or does not.
type Check struct {
	Name   string // "user namespaces"
	OK     bool
	Detail string // a version, the kernel's answer, or what hewn does instead
}

// appArmorProfile is where to put which profile for the program at path.
func appArmorProfile(path string) string {
	return fmt.Sprintf(`# /etc/apparmor.d/hewn: load it with "apparmor_parser -r /etc/apparmor.d/hewn"
abi <abi/4.0>,
include <tunables/global>

profile hewn %q flags=(unconfined) {
  userns,
  include if exists <local/hewn>
}
`, path)
}
