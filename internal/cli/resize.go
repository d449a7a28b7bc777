package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyResize sends to ch whenever the terminal changes its size, until stop is called.
func notifyResize(ch chan<- struct{}) (stop func()) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGWINCH)
	go func() {
		for range sig {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}()
	return func() { signal.Stop(sig); close(sig) }
}
