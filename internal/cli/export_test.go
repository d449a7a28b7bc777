package cli

import (
	"context"
	"fmt"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
)

// RunAlone builds a target and runs every action that it needs again, from the action's merged root without layers. It
// gives the labels of those actions, and an error where one gave something else.
func RunAlone(ctx context.Context, sys System, ref string) (labels []string, err error) {
	c := &command{sys: sys, flags: settings{progress: "plain", platform: platform.Host().String(), plat: platform.Host()}}
	p, err := c.refer(ref)
	if err != nil {
		return nil, err
	}
	st, err := c.openStore()
	if err != nil {
		return nil, err
	}
	defer st.Close()
	s, err := c.open(p, st, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	name, err := s.target()
	if err != nil {
		return nil, err
	}
	for a, err := range s.engine.AllActions(ctx, engine.Target(name)) {
		if err != nil {
			return labels, err
		}
		a.Request.Layers = nil
		out, err := s.sandbox.Execute(ctx, a.Request)
		if err != nil {
			return labels, fmt.Errorf("%s: %w", a.Label, err)
		}
		if out.ExitCode != 0 || out.Output != a.Output {
			return labels, fmt.Errorf("%s: ended with %d and %v, want %v", a.Label, out.ExitCode, out.Output, a.Output)
		}
		labels = append(labels, a.Label)
	}
	return labels, nil
}
