// Command server is the Go half of the application: `authentik` serves, `authentik healthcheck server|worker` asks a running
// one how it is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"syscall"

	log "github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"goauthentik.io/internal/config"
	"goauthentik.io/internal/constants"
	"goauthentik.io/internal/web"
)

func main() {
	if err := newRootCommand().Execute(); err != nil {
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:          "authentik",
		Short:        "Start the server",
		Version:      constants.FullVersion(),
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context())
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newHealthcheckCommand())
	return root
}

// serve runs the server until it is told to end.
func serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	config, err := config.Load(ctx)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	setUpLogging(config)
	server := web.New(config)

	// gunicorn reads its configuration anew, opens its log files anew.
	handedOn := make(chan os.Signal, 1)
	signal.Notify(handedOn, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(handedOn)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-handedOn:
				server.Signal(sig)
			}
		}
	}()
	return server.Run(ctx)
}

func setUpLogging(config *config.Config) {
	log.SetFormatter(&log.JSONFormatter{
		FieldMap: log.FieldMap{log.FieldKeyMsg: "event", log.FieldKeyTime: "timestamp"},
	})
	level, err := log.ParseLevel(config.LogLevel)
	if err != nil {
		level = log.InfoLevel
	}
	log.SetLevel(level)

	fields := log.Fields{"version": constants.FullVersion()}
	if account, err := user.Current(); err == nil {
		fields["user"] = account.Username
	}
	log.WithFields(fields).Info("Starting authentik")
}
