package cli

import (
	"strings"

	"hewn.example/hewn/internal/engine"
)

// splitStep takes the step off `RECIPE:TARGET:STEP`.
func splitStep(ref string) (string, string) {
	recipe, rest, ok := strings.Cut(ref, ":")
	if !ok {
		return ref, ""
	}
	target, step, _ := strings.Cut(rest, ":")
	return recipe + ":" + target, step
}

// chooseLogs picks the steps whose logs are wanted. Without a name it is the one that failed, else the last action.
func chooseLogs(steps []engine.LastStep, name string, all bool) []engine.LastStep {
	var out []engine.LastStep
	for _, s := range steps {
		if s.Log.IsZero() {
			continue
		}
		if name == "" || strings.Contains(s.Label, name) {
			out = append(out, s)
		}
	}
	if all || name != "" || len(out) == 0 {
		return out
	}
	for _, s := range out {
		if s.Failed {
			return []engine.LastStep{s}
		}
	}
	return out[len(out)-1:]
}
