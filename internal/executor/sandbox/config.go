package sandbox

import (
	"time"

	"hewn.example/hewn/internal/store"
)

// Mode is a way to give an action its own writable view of its root.
type Mode string

const (
	// ModeAuto takes the first of the others that this machine allows.
	ModeAuto Mode = ""
	// ModeOverlay is an overlay whose upper directory lies in Config.TempDir.
	ModeOverlay Mode = "overlay"
	// ModeTmpfs is an overlay whose upper directory lies in memory: for a TempDir that is an overlay itself.
	ModeTmpfs Mode = "tmpfs"
	// ModeCopy is a copy of the root, for kernels that refuse overlays in user namespaces.
	ModeCopy Mode = "copy"
)

// Config is what a Sandbox needs; Store, Views and TempDir must be set.
type Config struct {
	Store store.Store
	Views store.Views
	// TempDir holds what actions write until it is collected, on the store's file system. Several processes may share
	// it: each has a directory of its own, and what killed processes left is removed by the next.
	TempDir string
	// Roots are directories below which all views lie. A view elsewhere works too, at the price of one more mount in
	// every action's mount table.
	Roots []string
	// Mode forces one way to make roots writable; tests use it.
	Mode Mode
	// MaxLog is how many bytes of an action's output are kept; 0 means 256 MiB. What is over it is cut in the middle.
	MaxLog int64
}

// MaxLayers is how many trees one overlay is made of; more are merged first. A look-up through 175 layers costs 350 µs,
// through 16 it is not measurable.
const MaxLayers = 16

const (
	defaultMaxLog = 256 << 20
	// watchEvery is how often the processes of an action are counted and their memory summed.
	watchEvery = 250 * time.Millisecond
	// hostname is what every action and session believes to run on.
	hostname = "hewn"
)
