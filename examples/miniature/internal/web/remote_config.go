package web

import (
	"context"
	"time"

	"github.com/avast/retry-go/v4"
	log "github.com/sirupsen/logrus"
	"goauthentik.io/api/v3"

	"goauthentik.io/internal/constants"
)

// apiClient returns the generated client, talking to the backend through its socket.
func (s *Server) apiClient() *api.APIClient {
	config := api.NewConfiguration()
	config.Scheme, config.Host = "http", backendHost
	config.UserAgent = constants.UserAgent()
	config.HTTPClient = s.backend.client
	return api.NewAPIClient(config)
}

// readRemoteConfig asks the backend for its public configuration and applies it. The environment and the files may say
// less than the backend knows, and both halves should log alike.
func (s *Server) readRemoteConfig(ctx context.Context) {
	client := s.apiClient()
	remote, err := retry.DoWithData(
		func() (*api.Config, error) {
			remote, response, err := client.RootAPI.RootConfigRetrieve(ctx).Execute()
			if response != nil && response.Body != nil {
				_ = response.Body.Close()
			}
			return remote, err
		},
		retry.Context(ctx),
		retry.Attempts(10),
		retry.Delay(200*time.Millisecond),
		retry.MaxDelay(5*time.Second),
		retry.LastErrorOnly(true),
	)
	if err != nil {
		s.log.WithError(err).Warning("Failed to read the backend's configuration")
		return
	}
	s.apply(remote)
}

func (s *Server) apply(remote *api.Config) {
	if level, err := log.ParseLevel(remote.GetLogLevel()); err != nil {
		s.log.WithError(err).Warning("The backend's log level is none of ours")
	} else {
		log.SetLevel(level)
	}
	if version := remote.GetVersion(); version != constants.FullVersion() && version != constants.Version() {
		s.log.WithFields(log.Fields{"server": constants.FullVersion(), "backend": version}).
			Warning("The two halves are of different versions")
	}
	s.metrics.setConfig(remote)
	s.log.WithFields(log.Fields{
		"brand":     remote.GetBrandTitle(),
		"log_level": remote.GetLogLevel(),
		"version":   remote.GetVersion(),
	}).Info("Read the backend's configuration")
}
