package export_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"hewn.example/hewn/internal/image/export"
	"hewn.example/hewn/internal/store/memory"
)

// skopeo runs the tool that other people read images with.
func skopeo(t *testing.T, args ...string) []byte {
	t.Helper()
	tool, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	home := t.TempDir()
	policy := filepath.Join(home, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, append([]string{"--policy", policy, "--tmpdir", home}, args...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + home}
	out, err := cmd.Output()
	if err != nil {
		stderr := ""
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		t.Fatalf("skopeo %q: %v\n%s", args, err, stderr)
	}
	return out
}

// TestSkopeo: what we write is what another tool reads, by the name that we gave.
func TestSkopeo(t *testing.T) {
	st := memory.New()
	dir := t.TempDir()
	layout, archive, docker := filepath.Join(dir, "layout"), filepath.Join(dir, "oci.tar"), filepath.Join(dir, "docker.tar")
	// Not three(t): skopeo takes a plain tar whose first file is called BZh for a compressed one.
	img := single(t, st, tarOf(t, "system", 100_000), tarOf(t, "python", 20_000), tarOf(t, "app", 3000))
	for _, err := range []error{
		second(export.OCIDir(t.Context(), img, layout)),
		second(export.OCIArchive(t.Context(), img, archive)),
		second(export.DockerArchive(t.Context(), img, docker)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"oci:" + layout + ":hewn/app:1.0", "oci-archive:" + archive + ":hewn/app:1.0", "docker-archive:" + docker + ":hewn/app:1.0"} {
		var got struct {
			Digest, Architecture string
			Layers               []string
		}
		if err := json.Unmarshal(skopeo(t, "inspect", ref), &got); err != nil {
			t.Fatal(err)
		}
		if got.Architecture != "amd64" || len(got.Layers) != 3 {
			t.Errorf("%s: %+v", ref, got)
		}
		if ref[:3] == "oci" && got.Digest != img.Layout.Top.Digest.String() {
			t.Errorf("%s: digest %s, want %s", ref, got.Digest, img.Layout.Top.Digest)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		skopeo(t, "copy", ref, "dir:"+copied) // compares every digest on the way
		if _, err := os.Stat(filepath.Join(copied, "manifest.json")); err != nil {
			t.Error(err)
		}
	}
	if _, err := export.OCIDir(t.Context(), several(t, st), layout); err != nil {
		t.Fatal(err)
	}
	skopeo(t, "copy", "--all", "oci:"+layout+":app:latest", "oci:"+filepath.Join(dir, "all")+":x")
	want, got := blobNames(t, layout), blobNames(t, filepath.Join(dir, "all"))
	if !slices.Equal(want, got) {
		t.Errorf("skopeo copied %q of %q", got, want)
	}
}

func second[T any](_ T, err error) error { return err }

func blobNames(t *testing.T, layout string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(layout, "blobs/sha256"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
