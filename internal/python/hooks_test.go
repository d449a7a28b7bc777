package python

import (
	"context"

	"hewn.example/hewn/internal/pins"
)

// Lines answers as an update does.
func (w *world) Lines(ctx context.Context, _ pins.Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	return observe(ctx)
}

// Lines answers as an update does.
func (w *oracleWorld) Lines(ctx context.Context, _ pins.Question, observe func(context.Context) ([]string, error)) ([]string, error) {
	return observe(ctx)
}
