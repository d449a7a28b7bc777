// Package lib gives the Go server the defaults that the Python half has too.
package lib

import _ "embed"

//go:embed default.yml
var defaultConfig []byte

// DefaultConfig returns default.yml.
func DefaultConfig() []byte {
	return defaultConfig
}
