// Package platform names what something is built for: operating system, processor and C library.
//
// A Platform is part of every cache key and of every choice of artifact. The words are Go's (`linux`, `amd64`);
// each ecosystem translates them into its own.
package platform

import (
	"fmt"
	"runtime"
	"strings"
)

// Platform is a target of a build. It is comparable.
type Platform struct {
	OS   string // Go's GOOS: "linux"
	Arch string // Go's GOARCH: "amd64", "arm64"
	Libc string // "glibc" or "musl"; empty where the question has no meaning
}

// Host is the platform that this machine builds for when nobody says otherwise: Linux with glibc on the machine's
// processor, also on a machine that is not Linux, since roots are Debian's.
func Host() Platform { return Platform{OS: "linux", Arch: runtime.GOARCH, Libc: "glibc"} }

// Parse reads `os/arch` or `os/arch/libc`.
func Parse(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || !word(parts[0]) || !word(parts[1]) {
		return Platform{}, fmt.Errorf("platform %q: want os/arch or os/arch/libc, for example linux/amd64", s)
	}
	p := Platform{OS: parts[0], Arch: parts[1]}
	switch {
	case len(parts) == 2 && p.OS == "linux":
		p.Libc = "glibc"
	case len(parts) == 3 && parts[2] != "glibc" && parts[2] != "musl":
		return Platform{}, fmt.Errorf("platform %q: the C library is glibc or musl", s)
	case len(parts) == 3:
		p.Libc = parts[2]
	}
	return p, nil
}

// word says that s may stand in a platform's name: Go's names are lower-case letters and digits.
func word(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// String is the form that Parse reads; glibc is left out, being the default on Linux.
func (p Platform) String() string {
	s := p.OS + "/" + p.Arch
	if p.Libc != "" && p.Libc != "glibc" {
		s += "/" + p.Libc
	}
	return s
}

// MarshalText gives the form of String.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (p *Platform) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err == nil {
		*p = v
	}
	return err
}
