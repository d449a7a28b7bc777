//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// images makes the image, and again, and writes it in every form; two independent programs must accept each.
func (w *world) images(t *testing.T) {
	digest, o := w.first.image(t)
	w.imageDigest = digest
	t.Logf("the image: %s; %s; %d steps ran", digest, o, len(o.started))
	plain := w.first.must(t, "image", miniature)
	if plain.stdout != digest+"\n" {
		t.Errorf("`hewn image` prints %q, not only the digest %s", plain.stdout, digest)
	}
	best := outcome{wall: time.Hour}
	for range 5 {
		got, o := w.first.image(t)
		if got != digest || len(o.started) > 0 {
			t.Errorf("nothing changed, but the image is %s and ran %v", got, o.started)
		}
		if o.wall < best.wall {
			best = o
		}
	}
	t.Logf("nothing changed: %.0f ms, the whole process, the best of 5", best.wall.Seconds()*1e3)

	dir := filepath.Join(w.dir, "exports")
	must(t, os.MkdirAll(dir, 0o755))
	oci, archive, docker := filepath.Join(dir, "oci"), filepath.Join(dir, "oci.tar"), filepath.Join(dir, "docker.tar")
	got, o := w.first.image(t, "--output", "oci:"+oci, "--output", "oci-archive:"+archive, "--output", "docker-archive:"+docker)
	t.Logf("three exports: %s", o)
	if got != digest || oneImage(t, oci) != digest {
		t.Errorf("the exported layout names %s, the image is %s", oneImage(t, oci), digest)
	}
	w.acceptedByLibrary(t, digest, oci, docker)
	w.acceptedBySkopeo(t, digest, oci, archive, docker)
}

// acceptedByLibrary reads every byte of the exports, as `crane validate` does.
func (w *world) acceptedByLibrary(t *testing.T, digest, oci, docker string) {
	hash, err := v1.NewHash(digest)
	must(t, err)
	path, err := layout.FromPath(oci)
	must(t, err)
	image, err := path.Image(hash)
	must(t, err)
	// Its library reads layers of gzip only: of those of zstd it can check that they are there, of the same image with
	// gzip every byte.
	if err := validate.Image(image, validate.Fast); err != nil {
		t.Errorf("the layout is not valid: %v", err)
	}
	zipped := oci + "-gzip"
	gzipDigest, _ := w.first.image(t, "--compression", "gzip", "--output", "oci:"+zipped)
	hash, err = v1.NewHash(gzipDigest)
	must(t, err)
	path, err = layout.FromPath(zipped)
	must(t, err)
	gzipped, err := path.Image(hash)
	must(t, err)
	if err := validate.Image(gzipped); err != nil {
		t.Errorf("the layout with gzip is not valid: %v", err)
	}
	loaded, err := tarball.ImageFromPath(docker, nil)
	must(t, err)
	if err := validate.Image(loaded); err != nil {
		t.Errorf("the docker archive is not valid: %v", err)
	}
	want, err := image.ConfigFile()
	must(t, err)
	have, err := loaded.ConfigFile()
	must(t, err)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("the docker archive holds another image than the layout:\n%s", d)
	}
	w.contract(t, want.Config)
	w.deployPage(t, want.Config)
}

// contract is what compose files and charts rely on.
func (w *world) contract(t *testing.T, c v1.Config) {
	if got := strings.Join(c.Entrypoint, " "); got != "dumb-init -- ak" {
		t.Errorf("the entry point is %q", got)
	}
	if c.User != "1000" && c.User != "1000:1000" && c.User != "authentik" {
		t.Errorf("the user is %q", c.User)
	}
	for _, port := range []string{"9000/tcp", "9443/tcp"} {
		if _, ok := c.ExposedPorts[port]; !ok {
			t.Errorf("the port %s is not exposed: %v", port, c.ExposedPorts)
		}
	}
	if c.Healthcheck == nil || !slices.Contains(c.Healthcheck.Test, "healthcheck") {
		t.Errorf("the health check is %v", c.Healthcheck)
	}
	for _, name := range []string{"PATH", "TMPDIR", "VENV_PATH", "PYTHONUNBUFFERED"} {
		if !slices.ContainsFunc(c.Env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") }) {
			t.Errorf("the environment has no %s: %q", name, c.Env)
		}
	}
}

func (w *world) acceptedBySkopeo(t *testing.T, digest, oci, archive, docker string) {
	need(t, "skopeo")
	for _, from := range []string{"oci:" + oci, "oci-archive:" + archive} {
		said := tool(t, nil, "skopeo", "inspect", "--format", "{{.Digest}}", from)
		if strings.TrimSpace(said) != digest {
			t.Errorf("skopeo says that %s is %s, want %s", from, said, digest)
		}
	}
	for i, from := range []string{"oci:" + oci, "oci-archive:" + archive, "docker-archive:" + docker} {
		tool(t, nil, "skopeo", "copy", "--quiet", "--insecure-policy", from, fmt.Sprintf("dir:%s/copied-%d", w.dir, i))
	}
}

// sameImage makes the image in another person's store.
func (w *world) sameImage(t *testing.T, p person) {
	digest, o := p.image(t, "--offline", "--jobs", "1")
	if digest != w.imageDigest {
		t.Errorf("the image is %s here, %s in the first store", digest, w.imageDigest)
	}
	t.Logf("the same image in another store: %s", o)
}
