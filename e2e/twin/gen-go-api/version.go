// Package api stands where the client of the API is generated.
package api

// Version is the version of the API.
const Version = "2026.5.0"
