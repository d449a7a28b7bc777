package golang

import (
	"encoding/json"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/tree"
)

func FuzzUnpackZip(f *testing.F) {
	f.Add(zipOf(f, "m.example/Upper@v1.0.0/", map[string]string{"go.mod": "module m.example/Upper\n", "a/b.go": "package b\n"}))
	f.Add(zipOf(f, "m.example/Upper@v1.0.0/../", map[string]string{"../x": ""}))
	params, err := json.Marshal(zipParams{Path: "m.example/Upper", Version: "v1.0.0", Hash: "h1:x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		st := memory.New()
		d, err := st.Put(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		b := tree.NewBuilder()
		if err := b.File("v1.0.0.zip", d, false); err != nil {
			t.Fatal(err)
		}
		in, err := b.Build(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := unpackZip(t.Context(), engine.NativeCall{Params: params, Inputs: []tree.Tree{in}, Store: st}); err == nil {
			fuzzing.Tree(t, st, out)
		}
	})
}
