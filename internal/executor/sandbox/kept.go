package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// keptFile describes a kept root; beside it lies what the action wrote.
const keptFile = "kept.json"

// maxKept is how many roots of failed actions stay: enough for one bad evening, little enough to forget about.
const maxKept = 10

// Kept is the root of a failed action as it left it: what to mount, and what it was about to do there.
type Kept struct {
	Label  string           `json:"label"`
	Action action.Action    `json:"action"`
	Layers []executor.Layer `json:"layers"`
	Mode   Mode             `json:"mode"`
	Exit   int              `json:"exit"`
}

// OpenKept reads the description of a root that Outcome.Kept named. executor.Root.Kept mounts it.
func OpenKept(dir string) (*Kept, error) {
	f, err := os.Open(filepath.Join(dir, keptFile))
	if err != nil {
		return nil, diag.Failf("kept-root", "the root of that step was not kept, or is gone").Because(err).
			Hint("run the step again: the root of a step that fails is kept")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return nil, err
	}
	var k Kept
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("sandbox: %s: %w", f.Name(), err)
	}
	return &k, nil
}
