package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"goauthentik.io/internal/config"
	"goauthentik.io/internal/constants"
)

const healthcheckTimeout = 5 * time.Second

func newHealthcheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server or the worker of this container how it is",
		Long: "Ask the server or the worker of this container how it is.\n\n" +
			"Both listen at listen.http; exit code 0 means that it answers.",
	}
	for _, mode := range []string{"server", "worker"} {
		command.AddCommand(&cobra.Command{
			Use:          mode,
			Short:        "Ask the " + mode,
			Args:         cobra.NoArgs,
			SilenceUsage: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				config, err := config.Load(cmd.Context())
				if err != nil {
					return err
				}
				return checkHealth(cmd.Context(), config.Listen.HTTP)
			},
		})
	}
	return command
}

// checkHealth fails if what listens at the address does not live.
func checkHealth(ctx context.Context, address string) error {
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
