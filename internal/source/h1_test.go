package source

import (
	"archive/zip"
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

func TestVerifyH1(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"m.example/x@v1.0.0/go.mod", "m.example/x@v1.0.0/a.go"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("content of " + name))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := VerifyH1("v1.0.0.zip", bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if want := "h1:"; !strings.HasPrefix(got.String(), want) || got.Algorithm() != H1 {
		t.Errorf("got %s", got)
	}
	if back, err := ParseIntegrity(got.String()); err != nil || back != got {
		t.Errorf("%s does not read back: %v", got, err)
	}

	// The value is the go.mod line that go itself wrote for golang.org/x/text v0.3.0.
	mod := "module golang.org/x/text\n"
	got, err = VerifyH1("v0.3.0.mod", strings.NewReader(mod), int64(len(mod)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ="; got.String() != want {
		t.Errorf("got %s, want %s", got, want)
	}

	for name, c := range map[string]struct{ file, content string }{
		"no zip":     {"v1.0.0.zip", "hello"},
		"truncated":  {"v1.0.0.zip", b.String()[:b.Len()-30]},
		"other file": {"v1.0.0.info", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := VerifyH1(c.file, strings.NewReader(c.content), int64(len(c.content))); err == nil {
				t.Errorf("no error, but %s", got)
			}
		})
	}
}

// TestVerifyH1Zip compares with dirhash's own reading of a zip on disk.
func TestVerifyH1Zip(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create("m.example/x@v1.0.0/b")
	_, _ = w.Write([]byte("b"))
	_ = z.Close()
	path := t.TempDir() + "/m.zip"
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := dirhash.HashZip(path, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyH1("m.zip", bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || got.String() != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
