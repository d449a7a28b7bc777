// Package origin finds out where the user wants bytes to come from: configuration -> ordered endpoints for each
// ecosystem. It gets the environment, a file system and a command runner as arguments and dials nothing.
package origin

import (
	"context"

	"hewn.example/hewn/internal/source"
)

// Endpoint is one place to ask, together with where it was found, for `hewn doctor` and for errors.
type Endpoint struct {
	URL   string // without a trailing slash; the meaning is the ecosystem's: a simple index, a registry, a module proxy, an archive root
	From  string // "hewn.toml: mirror.pypi", "environment GOPROXY", "/etc/pip.conf", "answer of `npm config get registry`"
	Token string // for `Authorization: Bearer`, if the configuration has one
	User  string
	Pass  string

	// Only and Not are patterns of names for which the endpoint is asked, or is not, as in GOPRIVATE: globs, separated by
	// commas, of which each is compared with as many leading parts of a name as it has. For npm they are scopes ("@corp").
	Only string
	Not  string
	// Final says that the endpoints after it are asked only if it has no such thing: the comma of GOPROXY.
	Final bool
}

// Direct is the URL of the endpoint that stands for a Go module's own repository, wherever that is.
const Direct = "direct"

// Endpoints gives the places of an ecosystem in the order in which they are tried. An empty list with a nil error
// means that nothing is configured.
type Endpoints interface {
	For(ctx context.Context, eco source.Ecosystem) ([]Endpoint, error)
}
