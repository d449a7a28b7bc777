// Package api stands where the client of the API is generated.
package api

// Configuration is that of a client, as far as the server asks for it.
type Configuration struct{ UserAgent string }

// NewConfiguration gives the defaults.
func NewConfiguration() *Configuration {
	return &Configuration{UserAgent: "OpenAPI-Generator/2026.5.0/go"}
}
