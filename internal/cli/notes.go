package cli

import (
	"sync"

	"hewn.example/hewn/internal/event"
)

// noteOnce tells the user what several questions bring up, once each.
func (c *command) noteOnce() func(string) {
	var told sync.Map
	return func(text string) {
		if _, again := told.LoadOrStore(text, true); !again {
			c.ui().Event(event.Note{Level: "info", Text: text})
		}
	}
}
