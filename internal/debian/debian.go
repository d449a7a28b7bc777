// Package debian makes root trees out of Debian packages: it reads signed indexes, finds the closure of what a recipe
// asks for, unpacks packages without running any of their scripts, merges them and completes the root natively.
//
// Resolver looks outside and is used by `hewn update` only; everything else works on what is pinned.
package debian

import (
	"strings"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
)

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef {
	return []engine.NativeDef{debUnpack, debianRoot, elfCheck}
}

// Arch is Debian's word for a platform's processor.
func Arch(p platform.Platform) string {
	switch p.Arch {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	case "mips64le":
		return "mips64el"
	}
	return p.Arch // amd64, arm64, riscv64, s390x, loong64 are the same word in both worlds
}

// Triplet is the name of the directory below /usr/lib that holds the libraries of a Debian architecture.
func Triplet(arch string) string {
	switch arch {
	case "amd64":
		return "x86_64-linux-gnu"
	case "arm64":
		return "aarch64-linux-gnu"
	case "i386":
		return "i386-linux-gnu"
	case "armhf":
		return "arm-linux-gnueabihf"
	case "ppc64el":
		return "powerpc64le-linux-gnu"
	case "mips64el":
		return "mips64el-linux-gnuabi64"
	case "loong64":
		return "loongarch64-linux-gnu"
	}
	return arch + "-linux-gnu" // riscv64, s390x
}

// merged says whether a name at the top of the root is one of those that Debian has merged into /usr, where all that
// lies below them goes.
func merged(name string) bool {
	switch name {
	case "bin", "sbin", "lib", "lib64", "lib32", "libx32", "libo32":
		return true
	}
	return false
}

// canonical gives the path below /usr of a path below /bin, /sbin and /lib*, the path below /run of one below /var/run
// or /var/lock, and every other path as it is.
func canonical(p string) string {
	if top, _, more := strings.Cut(p, "/"); more && merged(top) {
		return "usr/" + p
	}
	if rest, ok := strings.CutPrefix(p, "var/run/"); ok {
		return "run/" + rest
	}
	if rest, ok := strings.CutPrefix(p, "var/lock/"); ok {
		return "run/lock/" + rest
	}
	return p
}
