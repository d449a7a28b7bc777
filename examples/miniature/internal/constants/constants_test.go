package constants

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFullVersionCarriesTheBuildHash(t *testing.T) {
	t.Setenv("GIT_BUILD_HASH", "")
	assert.Equal(t, Version(), FullVersion())
	t.Setenv("GIT_BUILD_HASH", "cafe")
	assert.Equal(t, Version()+"+cafe", FullVersion())
}

// The names of the web interface's files come from package.json; pages ask for them by this version.
func TestVersionIsThatOfTheWebInterface(t *testing.T) {
	text, err := os.ReadFile("../../package.json")
	require.NoError(t, err)
	var manifest struct{ Version string }
	require.NoError(t, json.Unmarshal(text, &manifest))
	assert.Equal(t, manifest.Version, Version())
}
