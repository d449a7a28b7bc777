package export_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/image/export"
	"hewn.example/hewn/internal/store/memory"
)

// TestNoRoom writes to a file system that is too small.
func TestNoRoom(t *testing.T) {
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	st := memory.New()
	noise := make([]byte, 2<<20) // does not compress
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	old := single(t, st, tarOf(t, "old", 1000))
	img := single(t, st, noise, noise[:1<<20])
	for name, write := range map[string]func(context.Context, export.Image, string) (export.Summary, error){
		"dir": export.OCIDir, "oci-archive": export.OCIArchive, "docker-archive": export.DockerArchive,
	} {
		dest := filepath.Join(small, name)
		if _, err := write(t.Context(), old, dest); err != nil {
			t.Fatal(err)
		}
		before := files(t, small)
		_, err := write(t.Context(), img, dest)
		wantProblem(t, name, err, diag.Environment, "no-room")
		if err == nil || !strings.Contains(err.Error(), small) {
			t.Errorf("%s: the error names no directory: %v", name, err)
		}
		after := files(t, small)
		for f, text := range before {
			if after[f] != text {
				t.Errorf("%s: %s is gone or changed", name, f)
			}
		}
		if err := os.RemoveAll(dest); err != nil {
			t.Fatal(err)
		}
	}
}
