// Package config reads the server's part of the configuration: authentik/lib/default.yml, then local.env.yml in the working
// directory, then the environment (AUTHENTIK_LISTEN__HTTP sets listen.http), as the Python half does.
package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/sethvargo/go-envconfig"
	"gopkg.in/yaml.v2"

	"goauthentik.io/authentik/lib"
)

const (
	environmentPrefix = "AUTHENTIK_"
	localFile         = "local.env.yml"
)

// Config is what the server has to know.
type Config struct {
	Listen    Listen `yaml:"listen" env:", prefix=LISTEN__"`
	Web       Web    `yaml:"web" env:", prefix=WEB__"`
	SecretKey string `yaml:"secret_key" env:"SECRET_KEY, overwrite"`
	LogLevel  string `yaml:"log_level" env:"LOG_LEVEL, overwrite"`
	Debug     bool   `yaml:"debug" env:"DEBUG, overwrite"`
}

// Listen holds the addresses to listen at.
type Listen struct {
	HTTP    string `yaml:"http" env:"HTTP, overwrite"`
	Metrics string `yaml:"metrics" env:"METRICS, overwrite"`
}

// Web says how the Python half is run.
type Web struct {
	Workers int `yaml:"workers" env:"WORKERS, overwrite"`
}

// Load reads the configuration from its files and the environment.
func Load(ctx context.Context) (*Config, error) {
	local, err := os.ReadFile(localFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return load(ctx, local, envconfig.OsLookuper())
}

func load(ctx context.Context, local []byte, environment envconfig.Lookuper) (*Config, error) {
	config := &Config{}
	if err := yaml.Unmarshal(lib.DefaultConfig(), config); err != nil {
		return nil, fmt.Errorf("default.yml: %w", err)
	}
	if err := yaml.Unmarshal(local, config); err != nil {
		return nil, fmt.Errorf("%s: %w", localFile, err)
	}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{
		Target:   config,
		Lookuper: envconfig.PrefixLookuper(environmentPrefix, environment),
		Mutators: []envconfig.Mutator{envconfig.MutatorFunc(
			func(_ context.Context, _, _, _, value string) (string, bool, error) {
				return resolve(value, environment), false, nil
			},
		)},
	})
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	config.SecretKey = resolve(config.SecretKey, environment)
	config.LogLevel = strings.ToLower(config.LogLevel)
	return config, nil
}

// resolve follows env://NAME?default and file:///path?default; any other value stands for itself.
func resolve(value string, environment envconfig.Lookuper) string {
	if !strings.Contains(value, "://") {
		return value
	}
	reference, err := url.Parse(value)
	if err != nil {
		return value
	}
	switch reference.Scheme {
	case "env":
		if found, ok := environment.Lookup(reference.Host); ok {
			return found
		}
		return reference.RawQuery
	case "file":
		text, err := os.ReadFile(reference.Path)
		if err != nil {
			return reference.RawQuery
		}
		return strings.TrimSpace(string(text))
	default:
		return value
	}
}
