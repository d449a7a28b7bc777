package gounicorn

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 10 * time.Second

// start runs a shell script in gunicorn's place; stop ends it and waits.
func start(t *testing.T, script string, options Options) (unicorn *GoUnicorn, stop func()) {
	t.Helper()
	options.Command = []string{"sh", "-c", script}
	options.Probe = 5 * time.Millisecond
	options.BackoffMin, options.BackoffMax = time.Millisecond, 20*time.Millisecond
	if options.Healthy == nil {
		options.Healthy = func(context.Context) bool { return true }
	}
	unicorn = New(options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- unicorn.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			assert.NoError(t, err)
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	}
	t.Cleanup(stop)
	return unicorn, stop
}

func count(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(t, err)
	return strings.Count(string(text), "\n")
}

func TestItRunsOnlyOnceItAnswers(t *testing.T) {
	var answers, told atomic.Bool
	unicorn, stop := start(t, "sleep 60", Options{
		Healthy:   func(context.Context) bool { return answers.Load() },
		OnHealthy: func(context.Context) { told.Store(true) },
	})
	time.Sleep(30 * time.Millisecond)
	assert.False(t, unicorn.IsRunning())

	answers.Store(true)
	assert.Eventually(t, unicorn.IsRunning, patience, time.Millisecond)
	assert.Eventually(t, told.Load, patience, time.Millisecond)

	stop()
	assert.False(t, unicorn.IsRunning())
}

func TestItIsStartedAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "starts")
	start(t, "echo >>"+file, Options{})
	assert.Eventually(t, func() bool { return count(t, file) >= 3 }, patience, 5*time.Millisecond)
}

func TestNothingIsLeftOfIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "beats")
	script := "while :; do echo >>" + file + "; sleep 0.02; done & sleep 0.2; exit 1"
	unicorn, stop := start(t, script, Options{})
	assert.Eventually(t, unicorn.IsRunning, patience, time.Millisecond)
	assert.Eventually(t, func() bool { return count(t, file) > 0 }, patience, time.Millisecond)
	stop()
	beats := count(t, file)
	time.Sleep(100 * time.Millisecond)
	assert.Equal(t, beats, count(t, file))
}

func TestItEndsPolitely(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ended")
	unicorn, stop := start(t, "trap 'echo >>"+file+"; exit 0' TERM; while :; do sleep 0.02; done", Options{})
	assert.Eventually(t, unicorn.IsRunning, patience, time.Millisecond)
	time.Sleep(100 * time.Millisecond) // until the trap is set
	stop()
	assert.Equal(t, 1, count(t, file))
}

func TestItIsKilledWhenItDoesNotEnd(t *testing.T) {
	unicorn, stop := start(t, "trap '' TERM; while :; do sleep 0.02; done", Options{Grace: 50 * time.Millisecond})
	assert.Eventually(t, unicorn.IsRunning, patience, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	stop()
}

func TestSignalsAreHandedOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hup")
	unicorn, _ := start(t, "trap 'echo >>"+file+"' HUP; while :; do sleep 0.02; done", Options{})
	assert.Eventually(t, unicorn.IsRunning, patience, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	unicorn.Signal(syscall.SIGHUP)
	assert.Eventually(t, func() bool { return count(t, file) == 1 }, patience, 5*time.Millisecond)
}

func TestACommandThatIsNotThere(t *testing.T) {
	unicorn := New(Options{Command: []string{"/no/such/gunicorn"}, Healthy: func(context.Context) bool { return true }})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.NoError(t, unicorn.Run(ctx))
	assert.False(t, unicorn.IsRunning())
	unicorn.Signal(syscall.SIGHUP) // nobody is there to take it
}
