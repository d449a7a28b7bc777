package registry_test

import (
	"fmt"
	"testing"

	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/testkit/ociregistry"
)

// bigLayers are 12, as the authentik image has, of which most are large.
func bigLayers(b *testing.B) [][]byte {
	var out [][]byte
	for i := range 12 {
		out = append(out, tarOf(b, uint64(i), 2<<20))
	}
	return out
}

func secured() ociregistry.Options {
	return ociregistry.Options{TLS: true, User: "ada", Password: "secret", Bearer: true}
}

// BenchmarkPushUnchanged: the registry has everything, the tag too; TLS handshake and token are in it.
func BenchmarkPushUnchanged(b *testing.B) {
	r := ociregistry.Start(b, secured())
	w := newBuild(b)
	l := w.layout(bigLayers(b)...)
	push(b, config(r), w, l, r.Host()+"/team/app:v1")
	for b.Loop() {
		push(b, config(r), w, l, r.Host()+"/team/app:v1")
	}
}

// BenchmarkPushOneLayer: one small layer of twelve is new.
func BenchmarkPushOneLayer(b *testing.B) {
	r := ociregistry.Start(b, secured())
	benchOneLayer(b, config(r), r.Host())
}

// BenchmarkPushOneLayerReal is the same to Debian's docker-registry, with a password by bcrypt at each request.
func BenchmarkPushOneLayerReal(b *testing.B) {
	r := startReal(b)
	cfg := r.config()
	cfg.ChunkSize = 0
	benchOneLayer(b, cfg, r.host)
}

func benchOneLayer(b *testing.B, cfg registry.Config, host string) {
	w := newBuild(b)
	layers := bigLayers(b)
	push(b, cfg, w, w.layout(layers...), host+"/team/app:v0")
	for n := uint64(100); b.Loop(); n++ {
		b.StopTimer()
		layers[11] = tarOf(b, n, 20_000)
		l := w.layout(layers...)
		b.StartTimer()
		if got := push(b, cfg, w, l, host+"/team/app:v1"); got.Blobs[11].State != pushed || got.Blobs[0].State != existed {
			b.Fatal(states(got))
		}
	}
}

// BenchmarkPushLarge: 128 MiB in chunks of several sizes, over TLS.
func BenchmarkPushLarge(b *testing.B) {
	for _, mib := range []int64{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("chunk=%dMiB", mib), func(b *testing.B) {
			r := startReal(b)
			w := newBuild(b)
			l := w.layout(tarOf(b, 1, 128<<20))
			cfg := r.config()
			cfg.ChunkSize = mib << 20
			b.SetBytes(128 << 20)
			n := 0
			for b.Loop() {
				n++
				push(b, cfg, w, l, fmt.Sprintf("%s/team/app%d-%d:v1", r.host, mib, n))
			}
		})
	}
}
