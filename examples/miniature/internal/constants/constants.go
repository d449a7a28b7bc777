// Package constants says which version of the application this is.
package constants

import (
	_ "embed"
	"os"
	"strings"
)

//go:embed VERSION
var version string

// Version returns the version of the application, as package.json and pyproject.toml have it.
func Version() string {
	return strings.TrimSpace(version)
}

// BuildHash returns the hash of the build that this process belongs to; it is empty for a release. The web interface was
// built with the same value, or its files are not found.
func BuildHash() string {
	return os.Getenv("GIT_BUILD_HASH")
}

// FullVersion returns the version as the names of the web interface's files have it.
func FullVersion() string {
	if hash := BuildHash(); hash != "" {
		return Version() + "+" + hash
	}
	return Version()
}

// UserAgent returns what the server calls itself in requests of its own.
func UserAgent() string {
	return "authentik@" + FullVersion()
}
