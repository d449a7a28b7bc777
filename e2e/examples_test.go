//go:build e2e && linux

package e2e

import "testing"

// smallOnes are the examples of docs/howto/own-project.md, one an ecosystem.
var smallOnes = []string{"examples/hello", "examples/python", "examples/node", "examples/go", "examples/rust"}

// examples builds the small ones and runs their checks.
func (w *world) examples(t *testing.T) {
	for _, ref := range smallOnes {
		t.Run(ref, func(t *testing.T) {
			_, o := w.first.build(t, ref)
			t.Logf("%s: %s", ref, o)
			if ref != "examples/hello" { // which has none
				w.first.must(t, "test", ref)
			}
		})
	}
	o := w.first.must(t, "image", "examples/python")
	t.Logf("image of examples/python: %s", o)
}
