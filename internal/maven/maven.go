// Package maven brings in single jars by their Maven coordinates, pinned by SHA-256. It reads no POM and resolves no
// dependencies: what is built here needs jars that hold all they need.
package maven

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

const (
	maxChecksum = 4 << 10 // a hash, perhaps with a file name behind it
	maxJar      = 1 << 30 // the largest tools that come as one jar have 200 MB
)

// Natives lists the native steps of this package: none.
func Natives() []engine.NativeDef { return nil }

// Jar is a tree of one file, `<artifact>-<version>.jar`. name is `group:artifact`.
func Jar(ctx context.Context, ask *engine.Ask, name, version string) (engine.Static, error) {
	if _, err := layout(name, version); err != nil {
		return engine.Static{}, err
	}
	q := pins.Question{Ecosystem: source.Maven, Set: "jar/" + name + "@" + version, Request: []string{name + "@" + version}}
	as, err := ask.Artifacts(ctx, q)
	if err != nil {
		return engine.Static{}, err
	}
	if len(as) != 1 {
		return engine.Static{}, diag.Inputf("pin-wrong", "the pin of `%s` is not one jar", q.Set).Hint("run `hewn update`")
	}
	return engine.Fetch(as[0]), nil
}

// place is where a repository keeps a jar.
type place struct{ dir, file string }

func layout(name, version string) (place, error) {
	group, artifact, ok := strings.Cut(name, ":")
	if !ok || !validName(strings.ReplaceAll(group, ".", "")) || !validName(artifact) || !validName(version) {
		return place{}, diag.Inputf("maven-coordinates", "%q is not the name and version of a jar", name+"@"+version).
			Hint("write `group:artifact` and a version, for example \"org.example:tool\" and \"1.2.3\"")
	}
	return place{
		dir:  strings.ReplaceAll(group, ".", "/") + "/" + artifact + "/" + version,
		file: artifact + "-" + version + ".jar",
	}, nil
}

func validName(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+", r) {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}

// Locate is the fetch.Locator of Maven: every repository has one layout.
func Locate(_ context.Context, _ fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	p, err := layout(a.Name, a.Version)
	if err != nil {
		return fetch.Location{}, err
	}
	return fetch.Location{Endpoint: e, URL: e.URL + "/" + p.dir + "/" + url.PathEscape(a.File)}, nil
}

// Resolver answers the question of Jar by looking into repositories. Only `hewn update` uses it.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
}

// Resolve pins a jar by its SHA-256: the one that the repository publishes, else that of the jar itself.
func (r Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	name, version, ok := "", "", false
	if len(q.Request) == 1 {
		name, version, ok = strings.Cut(q.Request[0], "@")
	}
	if !ok {
		return nil, diag.Inputf("maven-question", "Maven cannot answer the question `%s`", q.Set)
	}
	p, err := layout(name, version)
	if err != nil {
		return nil, err
	}
	eps, err := r.Endpoints.For(ctx, source.Maven)
	if err != nil {
		return nil, err
	}
	if len(eps) == 0 {
		return nil, diag.Environmentf("no-origin", "no Maven repository is configured").
			Hint("add to hewn.toml: [mirror.maven] urls = [\"https://maven.example\"]")
	}
	var errs []error
	for _, e := range eps {
		sum, size, err := r.hash(ctx, e, e.URL+"/"+p.dir+"/"+p.file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return []source.Artifact{{Ecosystem: source.Maven, Name: name, Version: version, File: p.file, Integrity: sum, Size: size}}, nil
	}
	return nil, fmt.Errorf("%s %s: %w", name, version, errors.Join(errs...))
}

// hash gives the SHA-256 of a jar, and its size where it had to be downloaded to know.
func (r Resolver) hash(ctx context.Context, e origin.Endpoint, jar string) (source.Integrity, int64, error) {
	if b, err := r.Getter.Get(ctx, e, jar+".sha256", "", maxChecksum); err == nil {
		if f := strings.Fields(string(b)); len(f) > 0 {
			if sum, err := source.ParseIntegrity("sha256:" + strings.ToLower(f[0])); err == nil {
				return sum, 0, nil
			}
		}
	}
	body, err := r.Getter.Open(ctx, e, jar)
	if err != nil {
		return source.Integrity{}, 0, err
	}
	defer body.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(body, maxJar+1))
	if err != nil {
		return source.Integrity{}, 0, err
	}
	if n > maxJar {
		return source.Integrity{}, 0, fmt.Errorf("%s has more than %d bytes", jar, int64(maxJar))
	}
	sum, err := source.ParseIntegrity("sha256:" + hex.EncodeToString(h.Sum(nil)))
	return sum, n, err
}
