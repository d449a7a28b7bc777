// Package pins holds what a workspace has pinned: sources.toml (the sources of a recipe, for people) and sources.lock
// (what each question about the outside was answered with, for machines).
//
// Plans ask Pins. In a build a question without an answer is an error that names `hewn update --missing`; in an update
// it is resolved and written. There is no second walk over recipes.
package pins

import (
	"context"

	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// Question is what a plan wants to have pinned: a set of artifacts, or lines of text, that answer a request. Two questions with the same
// Ecosystem, Set and Platform but another Request are the same place in the lock with a stale answer.
type Question struct {
	Ecosystem source.Ecosystem  `json:"ecosystem"`
	Set       string            `json:"set"`      // a name without spaces, unique in its ecosystem: "root/assembled", "build/lxml@6.0.2"
	Platform  platform.Platform `json:"platform"` // zero where the answer is the same everywhere
	Request   []string          `json:"request"`  // what is asked for, canonical and sorted where order means nothing
}

// Pins answers questions. It may be called from many goroutines.
type Pins interface {
	Artifacts(ctx context.Context, q Question) ([]source.Artifact, error)
	// Lines gives the lines of text that answer q, of which there may be none. What they are only a run of foreign code can
	// tell, which observe does; it is called in an update alone, and there only if q is to be resolved.
	Lines(ctx context.Context, q Question, observe func(context.Context) ([]string, error)) ([]string, error)
}

// Resolver finds the answer to a question of one ecosystem by looking outside. Only `hewn update` (and the repinning
// of a root that has gone from its archive) ever calls one.
type Resolver interface {
	Resolve(ctx context.Context, q Question) ([]source.Artifact, error)
}
