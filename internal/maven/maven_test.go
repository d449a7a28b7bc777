package maven

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

// documents are what a repository has, by URL.
type documents map[string]string

func (d documents) Get(_ context.Context, _ origin.Endpoint, url, _ string, _ int64) ([]byte, error) {
	if s, ok := d[url]; ok {
		return []byte(s), nil
	}
	return nil, fmt.Errorf("%s: %w", url, fetch.ErrGone)
}

func (d documents) Open(ctx context.Context, e origin.Endpoint, url string) (io.ReadCloser, error) {
	b, err := d.Get(ctx, e, url, "", 0)
	return io.NopCloser(strings.NewReader(string(b))), err
}

type endpoints []string

func (e endpoints) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) {
	var out []origin.Endpoint
	for _, u := range e {
		out = append(out, origin.Endpoint{URL: u})
	}
	return out, nil
}

const jarURL = "https://b.example/org/example/tool-cli/1.2.3/tool-cli-1.2.3.jar"

func question() pins.Question {
	return pins.Question{Ecosystem: source.Maven, Set: "jar/org.example:tool-cli@1.2.3", Request: []string{"org.example:tool-cli@1.2.3"}}
}

func TestResolve(t *testing.T) {
	want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("jar")))
	for name, d := range map[string]documents{
		"published hash": {jarURL + ".sha256": strings.ToUpper(strings.TrimPrefix(want, "sha256:")) + "  tool-cli-1.2.3.jar\n"},
		"no hash":        {jarURL: "jar"},
		"a page instead": {jarURL: "jar", jarURL + ".sha256": "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			as, err := Resolver{Getter: d, Endpoints: endpoints{"https://a.example", "https://b.example"}}.Resolve(t.Context(), question())
			if err != nil {
				t.Fatal(err)
			}
			if a := as[0]; a.Integrity.String() != want || a.File != "tool-cli-1.2.3.jar" || a.Name != "org.example:tool-cli" || a.Version != "1.2.3" {
				t.Errorf("got %+v", a)
			}
			loc, err := Locate(t.Context(), d, origin.Endpoint{URL: "https://b.example"}, as[0])
			if err != nil || loc.URL != jarURL {
				t.Errorf("got %v, %v", loc, err)
			}
		})
	}
	if _, err := (Resolver{Getter: documents{}, Endpoints: endpoints{"https://a.example"}}).Resolve(t.Context(), question()); !errors.Is(err, fetch.ErrGone) {
		t.Errorf("got %v", err)
	}
	if _, err := (Resolver{Endpoints: endpoints{}}).Resolve(t.Context(), question()); err == nil || !strings.Contains(err.Error(), "no Maven repository is configured") {
		t.Errorf("got %v", err)
	}
}

func TestJar(t *testing.T) {
	w := plantest.New(t, Natives())
	jar := func(name, version string) engine.Plan {
		return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
			s, err := Jar(ctx, ask, name, version)
			return s.Step, err
		}
	}
	w.Files["tool-cli-1.2.3.jar"] = []byte("jar")
	w.Pins[question().Set] = []source.Artifact{{Ecosystem: source.Maven, Name: "org.example:tool-cli", Version: "1.2.3", File: "tool-cli-1.2.3.jar", Integrity: plantest.Integrity([]byte("jar"))}}
	tr, err := w.Build(jar("org.example:tool-cli", "1.2.3"))
	if err != nil || w.Paths(tr) != "tool-cli-1.2.3.jar\n" {
		t.Errorf("got %v, %v", tr, err)
	}
	for _, c := range [][2]string{{"tool", "1"}, {"a:b", ""}, {"a:../b", "1"}, {"a:b", "../1"}, {"../a:b", "1"}, {"a:b:c", "1"}} {
		if _, err := w.Build(jar(c[0], c[1])); err == nil || !strings.Contains(err.Error(), "is not the name and version of a jar") {
			t.Errorf("%v: got %v", c, err)
		}
	}
}
