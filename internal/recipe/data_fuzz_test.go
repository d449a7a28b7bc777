package recipe

import (
	"errors"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

// FuzzParseData reads the files that recipes ask for.
func FuzzParseData(f *testing.F) {
	f.Add(twin.Read(f, "pyproject.toml"))
	f.Add(twin.Read(f, "package.json"))
	f.Add(twin.Read(f, "web/pnpm-lock.yaml")[:600])
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []string{"json", "toml", "yaml"} {
			fuzzing.Bounded(t, len(data), func() {
				if _, err := parseData(format, "f."+format, data); err != nil && !errors.As(err, new(*diag.Problem)) {
					t.Errorf("no Problem: %v", err)
				}
			})
		}
	})
}
