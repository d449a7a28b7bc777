package engine

import (
	"context"
	"encoding/json"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// NativeFunc is the code of a native step: a pure function of params and inputs.
type NativeFunc func(ctx context.Context, c NativeCall) (tree.Tree, error)

// NativeCall is what a native step gets.
type NativeCall struct {
	Params json.RawMessage
	Inputs []tree.Tree
	Store  store.Store // to read inputs and write outputs; the action cache is not for native steps
}

// Plan asks questions and returns a step. It must be a pure function of its name, its parameters (part of the name)
// and the answers: the engine remembers which questions were asked and what the answers were, and runs it again only
// when one of them changes.
type Plan func(ctx context.Context, ask *Ask) (Step, error)

// Targets gives the plan of a target by name.
type Targets interface {
	// Plan gives the plan of a target, and an identity that changes whenever the plan's code or constants do.
	Plan(name string) (p Plan, identity string, err error)
}

// Sources gives the content of a recipe's sources.
type Sources interface {
	Tree(ctx context.Context, name string) (tree.Tree, error)
}

// Fetcher downloads. What it returns has been verified and is in the store.
type Fetcher interface {
	Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error)
	FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error)
}

// Traces keeps the traces of plans on this machine.
type Traces interface {
	LoadTrace(key string) ([]byte, bool)
	SaveTrace(key string, b []byte) error
}

// Locks keeps two processes from running the same step at once.
type Locks interface {
	// Lock waits until no other holder has key. unlock must be called once.
	Lock(ctx context.Context, key string) (unlock func(), err error)
}

// Limits bounds what goes on at the same time. Zero fields mean a default: one action a processor, 16 fetches, 2 x
// processors for disk work.
type Limits struct {
	Actions int
	Fetches int
	Disk    int
}

// Config is what an Engine works with. All fields but Events, Limits and the flags are needed.
type Config struct {
	Store    store.Store
	Executor executor.Executor
	Fetcher  Fetcher
	Sources  Sources
	Pins     pins.Pins
	Targets  Targets
	Natives  []NativeDef
	Traces   Traces
	Locks    Locks
	Platform platform.Platform
	Events   event.Sink
	Limits   Limits

	KeepGoing  bool // go on with whatever does not depend on a failed step
	KeepFailed bool // keep the root of a failed action
	Paranoid   bool // run cached native steps again and compare
}
