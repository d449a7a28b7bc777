package requirements

import (
	"bytes"
	"fmt"
	"testing"

	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/testkit/twin"
)

// exported is a requirements.txt with the packages of a uv.lock, n times over.
func exported(l *uv.Lock, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		for _, p := range l.Packages {
			if p.Source.Kind != uv.Registry {
				continue
			}
			fmt.Fprintf(&b, "%s-x%d==%s ; python_version >= '3.13' \\\n", p.Name, i, p.Version)
			for _, f := range p.Wheels {
				fmt.Fprintf(&b, "    --hash=%s \\\n", f.Integrity)
			}
			fmt.Fprintf(&b, "    --hash=%s\n", p.Sdist.Integrity)
		}
	}
	return b.Bytes()
}

// BenchmarkRead shows that reading is linear: a package takes as long at 100 times the twin's size.
func BenchmarkRead(b *testing.B) {
	l, err := uv.Read("uv.lock", twin.Read(b, "uv.lock"))
	if err != nil {
		b.Fatal(err)
	}
	for i := range l.Packages {
		if p := &l.Packages[i]; p.Sdist == nil && len(p.Wheels) > 0 {
			p.Sdist = &p.Wheels[0]
		}
	}
	twin.Linear(b, func(n int) ([]byte, int) { return exported(l, n), n * len(l.Packages) }, func(data []byte) error {
		_, err := Read("requirements.txt", data)
		return err
	})
}
