package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"goauthentik.io/internal/config"
	"goauthentik.io/internal/constants"
)

const (
	healthcheckTimeout = 5 * time.Second

	// The worker writes these below the directory for temporary files: its process id, and, every few seconds, the time in
	// seconds since 1970.
	workerPIDFile   = "authentik-worker.pid"
	workerHeartbeat = "authentik-worker.heartbeat"
	// A worker that has not written for so long hangs.
	maxHeartbeatAge = 30 * time.Second
)

func newHealthcheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server or the worker of this container how it is",
		Long: "Ask the server or the worker of this container how it is; exit code 0 means well.\n\n" +
			"The server has to answer at listen.http, the worker to show a heartbeat.",
	}
	command.AddCommand(
		&cobra.Command{
			Use:          "server",
			Short:        "Ask the server",
			Args:         cobra.NoArgs,
			SilenceUsage: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				config, err := config.Load(cmd.Context())
				if err != nil {
					return err
				}
				return checkServer(cmd.Context(), config.Listen.HTTP)
			},
		},
		&cobra.Command{
			Use:          "worker",
			Short:        "Look at the worker's heartbeat",
			Args:         cobra.NoArgs,
			SilenceUsage: true,
			RunE: func(*cobra.Command, []string) error {
				return checkWorker(os.TempDir(), time.Now())
			},
		},
	)
	return command
}

// checkServer fails if what listens at the address does not live.
func checkServer(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(address)+"/-/health/live/", nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", constants.UserAgent()+" (healthcheck)")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return nil
}

// reachable makes of an address to listen at one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// checkWorker fails if the worker's process is gone, or its last heartbeat too old.
func checkWorker(temporary string, now time.Time) error {
	pid, err := readNumber(filepath.Join(temporary, workerPIDFile))
	if err != nil {
		return fmt.Errorf("no worker: %w", err)
	}
	// Signal 0 only asks whether the process is there. It may belong to another user.
	if err := syscall.Kill(int(pid), 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("no worker: process %d: %w", pid, err)
	}
	seconds, err := readNumber(filepath.Join(temporary, workerHeartbeat))
	if err != nil {
		return fmt.Errorf("the worker shows no heartbeat: %w", err)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > maxHeartbeatAge {
		return fmt.Errorf("the worker's last heartbeat was %s ago", age.Round(time.Second))
	}
	return nil
}

func readNumber(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return number, nil
}
