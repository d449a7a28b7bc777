package disk_test

import (
	"testing"

	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
)

func open(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}
