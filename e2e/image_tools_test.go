//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// imageLine is a line of `hewn image --json`.
type imageLine struct {
	Target string `json:"target"`
	Digest string `json:"digest"` // of the manifest, or of the index where there are several platforms
}

var imageDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// image makes the image of the miniature, and tells its digest and which steps ran.
func (p person) image(t *testing.T, args ...string) (string, outcome) {
	t.Helper()
	o := p.must(t, append([]string{"image", miniature, "--json", "--progress=json"}, args...)...)
	var line imageLine
	if err := json.Unmarshal([]byte(o.stdout), &line); err != nil || !imageDigest.MatchString(line.Digest) {
		t.Fatalf("`hewn image --json` prints %q: %v", o.stdout, err)
	}
	return line.Digest, o
}

// need skips a part where a program of the machine is not there, except where CI says that nothing may be wanting.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed, which must not be in CI", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// tool runs a program of the machine, which must succeed, and gives what it prints.
func tool(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := tryTool(env, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// tryTool runs a program; where it fails, what it prints are its complaints.
func tryTool(env []string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(environ(nil), env...)
	cmd.WaitDelay = time.Minute
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String() + out.String(), err
	}
	return out.String(), nil
}

// manifest is as much of an image's manifest as is looked at here.
type manifest struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// readManifest reads a manifest from an image layout.
func readManifest(t *testing.T, layout, digest string) manifest {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	must(t, err)
	var m manifest
	must(t, json.Unmarshal(b, &m))
	if len(m.Layers) == 0 {
		t.Fatalf("the manifest %s has no layers: %s", digest, b)
	}
	return m
}

// oneImage gives the digest of the only manifest of an image layout.
func oneImage(t *testing.T, layout string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, err)
	var index struct{ Manifests []descriptor }
	must(t, json.Unmarshal(b, &index))
	if len(index.Manifests) != 1 {
		t.Fatalf("index.json of %s names %d manifests", layout, len(index.Manifests))
	}
	return index.Manifests[0].Digest
}
