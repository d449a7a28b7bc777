package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaultsThenFileThenEnvironment(t *testing.T) {
	config, err := load(t.Context(), nil, envconfig.MapLookuper(nil))
	require.NoError(t, err)
	assert.Equal(t, "0.0.0.0:9000", config.Listen.HTTP)
	assert.Equal(t, "info", config.LogLevel)

	local := []byte("listen: {http: '127.0.0.1:1', metrics: '127.0.0.1:2'}\n")
	config, err = load(t.Context(), local, envconfig.MapLookuper(map[string]string{
		"AUTHENTIK_LISTEN__HTTP": "127.0.0.1:3",
		"AUTHENTIK_DEBUG":        "true",
		"AUTHENTIK_LOG_LEVEL":    "DEBUG",
		"LISTEN__METRICS":        "not ours",
	}))
	require.NoError(t, err)
	assert.Equal(t, Listen{HTTP: "127.0.0.1:3", Metrics: "127.0.0.1:2"}, config.Listen)
	assert.True(t, config.Debug)
	assert.Equal(t, "debug", config.LogLevel)
}

func TestValuesMayPointElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	environment := envconfig.MapLookuper(map[string]string{"KEY": "from the environment"})

	for value, want := range map[string]string{
		"plain":                   "plain",
		"env://KEY":               "from the environment",
		"env://NOT_SET?fallback":  "fallback",
		"env://NOT_SET":           "",
		"file://" + file:          "from a file",
		"file:///no/such?other":   "other",
		"https://company.example": "https://company.example",
	} {
		assert.Equal(t, want, resolve(value, environment), value)
	}
}

func TestBadValuesNameTheirPlace(t *testing.T) {
	_, err := load(t.Context(), nil, envconfig.MapLookuper(map[string]string{"AUTHENTIK_DEBUG": "perhaps"}))
	assert.ErrorContains(t, err, "Debug")
	_, err = load(t.Context(), []byte("listen: ["), envconfig.MapLookuper(nil))
	assert.ErrorContains(t, err, localFile)
}
