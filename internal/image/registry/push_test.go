package registry_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/testkit/ociregistry"
)

func tarball(t testing.TB, file string, content []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

const (
	existed = registry.Existed
	mounted = registry.Mounted
	pushed  = registry.Pushed
)

func TestPush(t *testing.T) {
	for _, c := range []struct {
		name string
		o    ociregistry.Options
	}{
		{"open, plain HTTP on loopback", ociregistry.Options{}},
		{"TLS", ociregistry.Options{TLS: true}},
		{"user and password", ociregistry.Options{TLS: true, User: "ada", Password: "secret:1"}},
		{"tokens", ociregistry.Options{TLS: true, User: "ada", Password: "secret", Bearer: true}},
		{"tokens that live for two requests", ociregistry.Options{User: "ada", Password: "secret", Bearer: true, TokenUses: 2}},
		{"tokens that say when they end", ociregistry.Options{User: "ada", Password: "secret", Bearer: true, ExpiresIn: 300}},
		{"chunks of at least 40,000 bytes", ociregistry.Options{MinChunk: 40_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ociregistry.Start(t, c.o)
			b := newBuild(t)
			small, large := tarOf(t, 1, 2_000), tarOf(t, 2, 100_000)
			l := b.layout(small, large)
			cfg := config(r)
			cfg.ChunkSize = 30_000
			cfg.Parallel = 1 // with more, requests would use up one another's short-lived tokens

			ref := r.Host() + "/team/app:v1"
			got := push(t, cfg, b, l, ref)
			if want := []registry.State{pushed, pushed, pushed, pushed}; !slices.Equal(states(got), want) {
				t.Errorf("first push: %v, want %v", states(got), want)
			}
			if got.Digest != l.Top.Digest || got.Reference != ref {
				t.Errorf("the report says %s %s", got.Reference, got.Digest)
			}
			if d := pull(t, r.Transport(), keys{c.o.User, c.o.Password}, ref); d != l.Top.Digest {
				t.Errorf("pulled %s, pushed %s", d, l.Top.Digest)
			}
			wantPatches := 4 // 103,000 bytes in pieces of 30,000
			if c.o.MinChunk > 0 {
				wantPatches = 3
			}
			if n := r.Count("PATCH"); n < wantPatches || c.o.TokenUses == 0 && n != wantPatches {
				t.Errorf("%d chunks, want %d: %q", n, wantPatches, r.Log())
			}

			r.Forget()
			again := push(t, cfg, b, l, ref)
			if want := []registry.State{existed, existed, existed, existed}; !slices.Equal(states(again), want) || again.Sent != 0 {
				t.Errorf("second push: %v, %d bytes sent", states(again), again.Sent)
			}
			if n := r.Count("P"); n != 0 { // POST, PATCH, PUT
				t.Errorf("nothing changed, and still: %q", r.Log())
			}
		})
	}
}

func TestOnlyWhatChangedTravels(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{})
	b := newBuild(t)
	base := tarOf(t, 1, 50_000)
	push(t, config(r), b, b.layout(base, tarOf(t, 2, 1000)), r.Host()+"/team/app:v1")
	r.Forget()

	l := b.layout(base, tarOf(t, 3, 1000))
	got := push(t, config(r), b, l, r.Host()+"/team/app:v2")
	if want := []registry.State{existed, pushed, pushed, pushed}; !slices.Equal(states(got), want) {
		t.Errorf("%v, want %v", states(got), want)
	}
	layer, conf := l.Images[0].Manifest.Layers[1], l.Images[0].Manifest.Config
	if want := layer.Size + conf.Size; r.Received() != want {
		t.Errorf("%d bytes of blobs arrived, want %d", r.Received(), want)
	}
	if want := layer.Size + conf.Size + l.Top.Size; got.Sent != want {
		t.Errorf("the report says that %d bytes were sent, want %d", got.Sent, want)
	}
	if r.Tag("team/app", "v1") == r.Tag("team/app", "v2") {
		t.Error("the new tag stands for the old image")
	}
}

func TestIndex(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{})
	b := newBuild(t)
	shared := tarOf(t, 1, 5000)
	l := b.index(b.image("amd64", shared, tarOf(t, 2, 100)), b.image("arm64", shared, tarOf(t, 3, 100)))
	got := push(t, config(r), b, l, r.Host()+"/team/app") // no tag: latest
	if len(got.Blobs) != 5+2+1 {
		t.Errorf("%d blobs and manifests, want each once: 8", len(got.Blobs))
	}
	if d := pull(t, r.Transport(), keys{}, r.Host()+"/team/app:latest"); d != l.Top.Digest || d != got.Digest {
		t.Errorf("pulled %s, pushed %s", d, got.Digest)
	}
	log := r.Log()
	tag := slices.Index(log, "PUT /v2/team/app/manifests/latest")
	for _, i := range l.Images {
		if at := slices.Index(log, "PUT /v2/team/app/manifests/"+i.Desc.Digest.String()); at < 0 || at > tag {
			t.Errorf("the manifest of %s was sent after the tag: %q", i.Desc.Platform, log)
		}
	}
	// By its digest it can be pushed as well; by another it cannot.
	push(t, config(r), b, l, r.Host()+"/team/other@"+l.Top.Digest.String())
	_, err := registry.Push(context.Background(), config(r), l, b.s, r.Host()+"/team/other@sha256:"+strings.Repeat("0", 64))
	wantProblem(t, err, problem{code: "reference", exit: 2, text: "names another image"})
}

func TestMount(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     ociregistry.Options
		fault func(*ociregistry.Faults)
		want  registry.State
	}{
		{"taken over", ociregistry.Options{}, nil, mounted},
		{"with tokens for both repositories", ociregistry.Options{User: "u", Password: "p", Bearer: true}, nil, mounted},
		{"ignored, so it is sent", ociregistry.Options{}, func(f *ociregistry.Faults) { f.IgnoreMount = true }, pushed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ociregistry.Start(t, c.o)
			b := newBuild(t)
			base := tarOf(t, 1, 50_000)
			push(t, config(r), b, b.layout(base), r.Host()+"/team/base:v1")
			if c.fault != nil {
				r.Set(c.fault)
			}
			cfg := config(r)
			cfg.MountFrom = []string{"team/none", "team/base", "team/app"}
			l := b.layout(base, tarOf(t, 2, 100))
			got := push(t, cfg, b, l, r.Host()+"/team/app:v1")
			if want := []registry.State{c.want, pushed, pushed, pushed}; !slices.Equal(states(got), want) {
				t.Errorf("%v, want %v", states(got), want)
			}
			if c.want == mounted && got.Blobs[0].From != "team/base" {
				t.Errorf("mounted from %q", got.Blobs[0].From)
			}
			pull(t, r.Transport(), keys{c.o.User, c.o.Password}, r.Host()+"/team/app:v1")
		})
	}
}

// TestFaults: whatever breaks on the way, the image arrives whole, and what had arrived is not sent again.
func TestFaults(t *testing.T) {
	const chunk = 30_000
	size := len(gzipped(t, tarOf(t, 2, 100_000)))
	for _, c := range []struct {
		name  string
		fault func(*ociregistry.Faults)
		most  int // bytes of blobs that may arrive in all; 0: not looked at
	}{
		{"the connection breaks within a chunk", func(f *ociregistry.Faults) { f.Cuts, f.CutAfter = 2, 10_000 }, size + 400},
		{"it breaks at once", func(f *ociregistry.Faults) { f.Cuts, f.CutAfter = 3, 0 }, size + 400},
		{"it breaks after every piece", func(f *ociregistry.Faults) { f.Cuts, f.CutAfter = 4, chunk-1 }, size + 400},
		{"a broken chunk ends the upload", func(f *ociregistry.Faults) { f.Cuts, f.CutAfter, f.CutsEnd = 3, 10_000, true }, 0},
		{"the last answer is lost", func(f *ociregistry.Faults) { f.CutAnswers = 2 }, size + 400},
		{"503", func(f *ociregistry.Faults) { f.Failing = 4 }, 0},
		{"429", func(f *ociregistry.Faults) { f.Busy, f.RetryAfter = 3, "2" }, 0},
		{"sessions are lost", func(f *ociregistry.Faults) { f.LoseSessions = 2 }, 0},
		{"other bytes were kept", func(f *ociregistry.Faults) { f.Corrupt = 1 }, 0},
		{"no chunks", func(f *ociregistry.Faults) { f.NoChunks = true }, 0},
		{"a proxy takes no large bodies", func(f *ociregistry.Faults) { f.BodyLimit = 1 << 20 }, 0},
		{"claims to have all blobs", func(f *ociregistry.Faults) { f.Claims = true }, size + 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := ociregistry.Start(t, ociregistry.Options{})
			r.Set(c.fault)
			b := newBuild(t)
			cfg := config(r)
			cfg.ChunkSize = chunk
			cfg.Parallel = 1
			large := tarOf(t, 2, 100_000)
			if c.name == "a proxy takes no large bodies" {
				large, cfg.ChunkSize = tarOf(t, 2, 5<<20), 0 // the default chunk is too large for it
			}
			l := b.layout(large)
			got := push(t, cfg, b, l, r.Host()+"/team/app:v1")
			pull(t, r.Transport(), keys{}, r.Host()+"/team/app:v1")
			if got.Blobs[0].State != pushed || got.Blobs[0].Sent < int64(len(large)) {
				t.Errorf("the layer was %s with %d bytes", got.Blobs[0].State, got.Blobs[0].Sent)
			}
			if c.most > 0 && r.Received() > int64(c.most) {
				t.Errorf("%d bytes arrived, of an image of %d: something was sent twice", r.Received(), c.most)
			}
		})
	}
}

// TestResumeLater: a push that was ended is finished by the next one, which sends the rest only.
func TestResumeLater(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{User: "u", Password: "p", Bearer: true})
	r.Set(func(f *ociregistry.Faults) { f.CutsEnd = true }) // so it goes on only from the end of a chunk
	b := newBuild(t)
	l := b.layout(tarOf(t, 1, 200_000))
	kept := records{}
	cfg := config(r)
	cfg.ChunkSize, cfg.Sessions = 20_000, kept
	ctx, cancel := context.WithCancelCause(context.Background())
	interrupted := errors.New("interrupted")
	cfg.Progress = func(x registry.Blob) {
		if x.Kind == registry.KindLayer && x.Done > 100_000 {
			cancel(interrupted)
		}
	}
	_, err := registry.Push(ctx, cfg, l, b.s, r.Host()+"/team/app:v1")
	if !errors.Is(err, interrupted) {
		t.Fatalf("the push was not ended: %v", err)
	}
	first := r.Received()
	if first < 80_000 || r.Tag("team/app", "v1") != "" {
		t.Fatalf("%d bytes arrived before the end, tag %q", first, r.Tag("team/app", "v1"))
	}
	r.Forget()
	cfg.Progress = nil
	got := push(t, cfg, b, l, r.Host()+"/team/app:v1")
	if left := l.Images[0].Manifest.Layers[0].Size - 80_000; got.Blobs[0].Sent > left {
		t.Errorf("the second push sent %d bytes of the layer, %d were missing at most", got.Blobs[0].Sent, left)
	}
	pull(t, r.Transport(), keys{"u", "p"}, r.Host()+"/team/app:v1")
	for k, v := range kept {
		if len(v) > 0 {
			t.Errorf("the session of %s is still remembered", k)
		}
	}

	// A session that the registry no longer knows, and one that was never its own, cost nothing but a new upload.
	for k := range kept {
		for i, stale := range []string{r.URL() + "/v2/team/app/blobs/uploads/gone?state=1", "http://registry.example/x", "%"} {
			kept[k] = []byte(stale)
			r.Drop("team/app", hexOf(l.Images[0].Manifest.Layers[0]))
			if got := push(t, cfg, b, l, r.Host()+"/team/app:v1"); got.Blobs[0].State != pushed {
				t.Errorf("case %d: %v", i, states(got))
			}
		}
	}
}

// TestProgress: numbers only grow, and end at the sizes.
func TestProgress(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{})
	b := newBuild(t)
	l := b.layout(tarOf(t, 1, 50_000), tarOf(t, 2, 70_000))
	var mu sync.Mutex
	last := map[string]registry.Blob{}
	cfg := config(r)
	cfg.ChunkSize = 20_000
	cfg.Progress = func(x registry.Blob) {
		mu.Lock()
		defer mu.Unlock()
		if was := last[x.Desc.Digest.String()]; x.Done < was.Done || x.Sent < was.Sent {
			t.Errorf("%s goes back from %d to %d", x.Desc.Digest, was.Done, x.Done)
		}
		last[x.Desc.Digest.String()] = x
	}
	got := push(t, cfg, b, l, r.Host()+"/a/b:c")
	for _, x := range got.Blobs {
		if was := last[x.Desc.Digest.String()]; was.Done != x.Desc.Size || was.State != pushed {
			t.Errorf("the last word on %s: %s, %d of %d", x.Kind, was.State, was.Done, x.Desc.Size)
		}
	}
}

// rotten is a store whose blobs are not what their digests say.
type rotten struct {
	store.Blobs
	bad digest.Digest
}

func (s rotten) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	r, err := s.Blobs.Open(ctx, d)
	if err != nil || d != s.bad {
		return r, err
	}
	return io.NopCloser(io.MultiReader(r, rot{})), nil
}

type rot struct{}

func (rot) Read([]byte) (int, error) { return 0, errors.New("the content is not that of its digest") }

func TestStoreRots(t *testing.T) {
	for _, chunk := range []int64{0, 10_000} {
		r := ociregistry.Start(t, ociregistry.Options{})
		b := newBuild(t)
		l := b.layout(tarOf(t, 1, 50_000))
		d := l.Images[0].Manifest.Layers[0]
		cfg := config(r)
		cfg.ChunkSize = chunk
		_, err := registry.Push(context.Background(), cfg, l, rotten{b.s, mustDigest(t, d)}, r.Host()+"/a/b:c")
		wantProblem(t, err, problem{code: "image-blob", exit: 1, text: "not that of its digest"})
		if _, there := r.Blob("a/b", d.Digest.String()); there {
			t.Error("the registry has a blob that the store could not verify")
		}
	}
}

func TestWaits(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{})
	b := newBuild(t)
	l := b.layout(tarOf(t, 1, 1000))
	var waited []time.Duration
	cfg := config(r)
	cfg.Pause = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
	r.Set(func(f *ociregistry.Faults) { f.Busy, f.RetryAfter = 1, "7" })
	push(t, cfg, b, l, r.Host()+"/a/b:c")
	if len(waited) != 1 || waited[0] != 7*time.Second {
		t.Errorf("waited %v, the registry asked for 7 s", waited)
	}
	r.Set(func(f *ociregistry.Faults) { f.Busy, f.RetryAfter = 1, "3600" })
	_, err := registry.Push(context.Background(), cfg, l, b.s, r.Host()+"/a/b:d")
	wantProblem(t, err, problem{code: "registry-rate-limit", exit: 1, text: "rate limited", hint: "1h0m0s"})
	if len(waited) != 1 {
		t.Errorf("waited %v: an hour is too long", waited)
	}
}
