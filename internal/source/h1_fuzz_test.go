package source

import (
	"archive/zip"
	"bytes"
	"testing"
)

func FuzzVerifyH1(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("m.example@v1.0.0/go.mod")
	if err == nil {
		_, err = w.Write([]byte("module m.example\n"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"v1.zip", "v1.mod"} {
			if sum, err := VerifyH1(name, bytes.NewReader(raw), int64(len(raw))); err == nil && sum.Algorithm() != H1 {
				t.Errorf("a hash of kind %s", sum.Algorithm())
			}
		}
	})
}
