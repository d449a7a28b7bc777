package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// Go collects garbage from 4 MB of heap on, several times in a command that lasts 30 ms: half of what that costs. The
// first collection waits for sixteen times as much; from then on all is as usual.
const patience = 16

var collectLate = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		collectPatiently()
	}
})

func collectPatiently() {
	usual := debug.SetGCPercent(100)
	debug.SetGCPercent(usual * patience)
	type mark struct{ _ [16]byte } // large enough to be an object of its own
	runtime.AddCleanup(new(mark), func(percent int) { debug.SetGCPercent(percent) }, usual)
}
