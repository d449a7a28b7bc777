package python

import (
	"context"

	"hewn.example/hewn/internal/engine"
)

// Compiled names the packages of an environment that no wheel is installed for: those that are built from source. Where
// o.Python is empty, the lowest patch release of the minor version that the project asks for decides the markers.
func Compiled(ctx context.Context, ask *engine.Ask, o VenvOptions) ([]string, error) {
	if o.Python == "" {
		minor, err := Version(ctx, ask, o.Source)
		if err != nil {
			return nil, err
		}
		o.Python = minor + ".0"
	}
	v, err := newVenv(ctx, ask, o)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, sel := range v.selected {
		if sel.Wheel == nil {
			names = append(names, sel.Name)
		}
	}
	return names, nil
}
