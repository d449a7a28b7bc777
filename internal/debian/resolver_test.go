package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// fakeMirror serves documents from a map and records what was asked for.
type fakeMirror struct {
	mu    sync.Mutex
	files map[string][]byte
	asked []string
}

func (f *fakeMirror) Get(_ context.Context, _ origin.Endpoint, url, _ string, limit int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, url)
	b, ok := f.files[url]
	if !ok {
		return nil, fmt.Errorf("%s: %w", url, fetch.ErrGone)
	}
	if int64(len(b)) > limit {
		return nil, errors.New("over the limit")
	}
	return b, nil
}

func (f *fakeMirror) Open(ctx context.Context, e origin.Endpoint, url string) (io.ReadCloser, error) {
	b, err := f.Get(ctx, e, url, "", 1<<30)
	return io.NopCloser(bytes.NewReader(b)), err
}

type endpoints []origin.Endpoint

func (e endpoints) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) { return e, nil }

func zipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

var linux = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}

const mirror = "https://mirror.example/debian"

// newResolver serves suites, each with packages, below the mirror's root.
func newResolver(t *testing.T, suites map[string][]string) (*Resolver, *fakeMirror) {
	t.Helper()
	key := newKey(t, 0)
	f := &fakeMirror{files: map[string][]byte{}}
	for suite, lines := range suites {
		raw := zipped(packagesText(lines...))
		dist := mirror + "/dists/" + suite + "/"
		f.files[dist+"InRelease"] = sign(t, releaseText(suite, "name-of-"+suite, map[string][]byte{"main/binary-amd64/Packages.gz": raw}), key)
		f.files[dist+fmt.Sprintf("main/binary-amd64/by-hash/SHA256/%x", sha256.Sum256(raw))] = raw
	}
	return &Resolver{Getter: f, Endpoints: endpoints{{URL: mirror, From: "test"}},
		Keyring: func() ([]byte, error) { return public(t, key), nil }, Now: func() time.Time { return made.Add(time.Hour) }}, f
}

func ask(lines ...string) pins.Question {
	return pins.Question{Ecosystem: source.Debian, Set: "root/test", Platform: linux, Request: lines}
}

func TestResolve(t *testing.T) {
	r, f := newResolver(t, map[string][]string{
		"stable":  {"bash 1; Depends: libc6", "libc6 1"},
		"testing": {"bash 2; Depends: libc6", "libc6 2", "python3.14 3"},
	})
	show := func(as []source.Artifact) string {
		var s []string
		for _, a := range as {
			s = append(s, a.String())
		}
		return strings.Join(s, ", ")
	}
	for _, c := range []struct{ request, want string }{
		{"package bash", "bash 1, libc6 1"},
		{"package bash;package python3.14", "bash 2, libc6 2, python3.14 3"},
		{"package bash;suite testing", "bash 2, libc6 2"},
		{"package libc6;suite name-of-testing", ""},
	} {
		as, err := r.Resolve(context.Background(), ask(strings.Split(c.request, ";")...))
		if got := show(as); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v", c.request, got, err)
		}
	}
	as, _ := r.Resolve(context.Background(), ask("package libc6"))
	want := source.Artifact{Ecosystem: source.Debian, Name: "libc6", Version: "1", File: "libc6_1_amd64.deb", Path: "pool/libc6_1_amd64.deb", Size: 100}
	got := as[0]
	if got.Integrity.Hex() != fmt.Sprintf("%x", sha256.Sum256([]byte("libc6"))) {
		t.Error("wrong hash")
	}
	if got.Integrity = want.Integrity; got != want {
		t.Errorf("got %+v", got)
	}
	if n := len(slices.DeleteFunc(slices.Clone(f.asked), func(u string) bool { return !strings.HasSuffix(u, "/stable/InRelease") })); n != 1 {
		t.Errorf("the index of stable was read %d times", n)
	}
	_, err := r.Resolve(context.Background(), ask("package nope"))
	var p *diag.Problem
	if !errors.As(err, &p) || !slices.Contains(p.Detail, "stable lacks nope") {
		t.Errorf("got %+v", err)
	}
	_, err = r.Resolve(context.Background(), ask("package libc7"))
	if !errors.As(err, &p) || !slices.Contains(p.Detail, "stable lacks libc7 (it has libc6)") {
		t.Errorf("got %+v", err)
	}
}

func TestResolveTriesOtherEndpoints(t *testing.T) {
	r, f := newResolver(t, map[string][]string{"stable": {"bash 1"}})
	f.files["https://other.example/dists/stable/InRelease"] = sign(t, releaseText("stable", "x", map[string][]byte{"a": nil}), newKey(t, 0))
	r.Endpoints = endpoints{{URL: "https://gone.example"}, {URL: "https://other.example"}, {URL: mirror}}
	if as, err := r.Resolve(context.Background(), ask("package bash")); err != nil || len(as) != 1 {
		t.Error(as, err)
	}
	r.indexes = nil
	r.Endpoints = endpoints{{URL: "https://gone.example"}, {URL: "https://other.example"}}
	if _, err := r.Resolve(context.Background(), ask("package bash")); !errors.Is(err, errUnsigned) {
		t.Errorf("got %v, want that of the endpoint that answered", err)
	}
	r.indexes, r.Endpoints = nil, endpoints{}
	if _, err := r.Resolve(context.Background(), ask("package bash")); diag.ExitCode(err) != 3 {
		t.Errorf("got %v", err)
	}
}

func TestResolveRefuses(t *testing.T) {
	dist := mirror + "/dists/stable/"
	for name, spoil := range map[string]func(r *Resolver, f *fakeMirror){
		"index of another suite": func(_ *Resolver, f *fakeMirror) {
			f.files[dist+"InRelease"] = f.files[mirror+"/dists/testing/InRelease"]
		},
		"index too old": func(r *Resolver, _ *fakeMirror) { r.Now = func() time.Time { return made.AddDate(0, 1, 0) } },
		"no keyring": func(r *Resolver, _ *fakeMirror) {
			r.Keyring = func() ([]byte, error) { return nil, errors.New("none") }
		},
		"foreign keyring": func(r *Resolver, _ *fakeMirror) {
			k := newKey(t, 0)
			r.Keyring = func() ([]byte, error) { return public(t, k), nil }
		},
		"packages that were swapped": func(_ *Resolver, f *fakeMirror) {
			for url, b := range f.files {
				if strings.Contains(url, "by-hash") {
					f.files[url] = append(bytes.Clone(b[:len(b)-1]), b[len(b)-1]^1)
				}
			}
		},
	} {
		r, f := newResolver(t, map[string][]string{"stable": {"bash 1"}, "testing": {"bash 2"}})
		r.Suites = []string{"stable"}
		spoil(r, f)
		_, err := r.Resolve(context.Background(), ask("package bash"))
		var p *diag.Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A mirror in the middle of its update has the new list under its name and the old one by hash only.
func TestResolveByNameWithoutHash(t *testing.T) {
	r, f := newResolver(t, map[string][]string{"stable": {"bash 1"}})
	for url, b := range f.files {
		if strings.Contains(url, "by-hash") {
			f.files[mirror+"/dists/stable/main/binary-amd64/Packages.gz"] = b
			delete(f.files, url)
		}
	}
	if _, err := r.Resolve(context.Background(), ask("package bash")); err != nil {
		t.Error(err)
	}
}

func TestLocate(t *testing.T) {
	e := origin.Endpoint{URL: mirror}
	loc, err := Locate(context.Background(), nil, e, source.Artifact{Path: "pool/main/g/g++/g++_1%3a2+b1~x.deb"})
	if err != nil || loc.URL != mirror+"/pool/main/g/g++/g++_1%253a2+b1~x.deb" {
		t.Error(loc, err)
	}
	if _, err := Locate(context.Background(), nil, e, source.Artifact{}); !errors.Is(err, fetch.ErrGone) {
		t.Error(err)
	}
}

func TestArtifactsRefuse(t *testing.T) {
	sum := sha256.Sum256(nil)
	for _, p := range []*pkg{{name: "a", file: "../x.deb", sum: sum}, {name: "a", file: "/x.deb", sum: sum}, {name: "a", file: "x.deb"}} {
		if _, err := artifacts([]*pkg{p}); err == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
}

func TestSameSuite(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"package a", "package b;essential", true},
		{"package a;suite stable", "package b;suite stable", true},
		{"package a;suite stable", "package b;suite testing", false},
		{"package a", "package b;suite testing", false},
	} {
		if got := SameSuite(strings.Split(c.a, ";"), strings.Split(c.b, ";")); got != c.want {
			t.Errorf("%q, %q: got %v", c.a, c.b, got)
		}
	}
}
