// Package recipes holds the bundled recipes, embedded in the program. `hewn eject` writes one out for its user to own.
package recipes

import "embed"

// FS has one directory a recipe.
//
//go:embed */*.star */sources.toml */*.py */*.mjs */*.sh
var FS embed.FS
