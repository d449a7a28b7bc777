package pylock

import (
	"bytes"
	"fmt"
	"testing"

	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/testkit/twin"
)

// exported is a pylock.toml with the packages of a uv.lock, n times over.
func exported(l *uv.Lock, n int) []byte {
	var b bytes.Buffer
	b.WriteString("lock-version = \"1.0\"\ncreated-by = \"test\"\nrequires-python = \">=3.13\"\n")
	for i := range n {
		for _, p := range l.Packages {
			if p.Source.Kind != uv.Registry {
				continue
			}
			fmt.Fprintf(&b, "\n[[packages]]\nname = \"%s-x%d\"\nversion = %q\nmarker = \"sys_platform == 'linux'\"\nwheels = [\n", p.Name, i, p.Version)
			for _, f := range p.Wheels {
				fmt.Fprintf(&b, "    { url = %q, size = %d, hashes = { sha256 = %q } },\n", f.URL, f.Size, f.Integrity.Hex())
			}
			b.WriteString("]\n")
			if f := p.Sdist; f != nil {
				fmt.Fprintf(&b, "sdist = { url = %q, size = %d, hashes = { sha256 = %q } }\n", f.URL, f.Size, f.Integrity.Hex())
			}
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
	twin.Linear(b, func(n int) ([]byte, int) { return exported(l, n), n * len(l.Packages) }, func(data []byte) error {
		_, err := Read("pylock.toml", data)
		return err
	})
}
