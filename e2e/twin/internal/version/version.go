// Package version says which API the server was compiled with.
package version

import "goauthentik.io/api/v3"

// UserAgent is how the client of the API introduces itself.
func UserAgent() string { return api.NewConfiguration().UserAgent }
