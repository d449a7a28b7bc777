package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

const (
	// maxPackument bounds the document on all versions of a package: the largest known has 25 MB in its short form.
	maxPackument = 128 << 20
	// maxManifest bounds the document on one version.
	maxManifest = 8 << 20
	// short is the media type of the short form, without read-me texts.
	short = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
)

// published is one version as a registry describes it.
type published struct {
	Version string `json:"version"`
	Engines struct {
		Node string `json:"node"`
	} `json:"engines"`
	Deprecated json.RawMessage `json:"deprecated"` // a text, or false
	Dist       struct {
		Tarball   string `json:"tarball"`
		Integrity string `json:"integrity"`
		Shasum    string `json:"shasum"`
	} `json:"dist"`
}

// Locate is the fetch.Locator of npm. Most registries lay tarballs out in one way, `<name>/-/<file>`; where the lock's
// own address shows another, the registry is asked.
func Locate(ctx context.Context, g fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	if !isFor(e, a.Name) {
		return fetch.Location{}, fmt.Errorf("%s: %w", a.Name, fetch.ErrNotFor)
	}
	own, err := url.Parse(a.URL)
	if err == nil && a.URL != "" && sameHost(own, e.URL) {
		return fetch.Location{Endpoint: e, URL: a.URL}, nil
	}
	if err != nil || a.URL == "" || strings.Contains(own.Path, "/-/") {
		return fetch.Location{Endpoint: e, URL: e.URL + "/" + a.Name + "/-/" + url.PathEscape(a.File)}, nil
	}
	b, err := g.Get(ctx, e, e.URL+"/"+escapeName(a.Name)+"/"+url.PathEscape(a.Version), "application/json", maxManifest)
	if err != nil {
		return fetch.Location{}, err
	}
	var v published
	if err := json.Unmarshal(b, &v); err != nil || v.Dist.Tarball == "" {
		return fetch.Location{}, fmt.Errorf("%s says nothing of a tarball of %s: %w", e.URL, a, fetch.ErrGone)
	}
	loc := fetch.Location{Endpoint: e, URL: v.Dist.Tarball}
	if u, err := url.Parse(v.Dist.Tarball); err != nil || !sameHost(u, e.URL) {
		loc.Endpoint = origin.Endpoint{URL: v.Dist.Tarball, From: e.From} // another host gets no credentials
	}
	return loc, nil
}

// isFor says whether a registry is asked for a package: some have one scope only, others all but some.
func isFor(e origin.Endpoint, name string) bool {
	scope, _, ok := strings.Cut(name, "/")
	has := func(list string) bool { return ok && slices.Contains(strings.Split(list, ","), scope) }
	return (e.Only == "" || has(e.Only)) && !has(e.Not)
}

func sameHost(u *url.URL, endpoint string) bool {
	e, err := url.Parse(endpoint)
	return err == nil && u.Host != "" && u.Scheme == e.Scheme && u.Host == e.Host
}

// escapeName writes a scoped name as registries want it in a path: one element.
func escapeName(name string) string { return strings.ReplaceAll(name, "/", "%2f") }

// Resolver answers the questions of this package by looking into registries. Only `hewn update` uses it.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
	// MirrorsOnly: an address that stands in a lock is never used.
	MirrorsOnly bool
}

// Resolve pins a package whose lock entry has no integrity (Set "npm/…"), Node.js and npm (Set "tool/node"), or pnpm (Set
// "tool/pnpm").
func (r Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	switch {
	case strings.HasPrefix(q.Set, "npm/") && len(q.Request) > 0:
		i := strings.LastIndex(q.Request[0], "@")
		if i <= 0 {
			break
		}
		a, err := r.exact(ctx, wantedPackage{name: q.Request[0][:i], version: q.Request[0][i+1:]}.with(q.Request[1:]))
		return []source.Artifact{a}, err
	case q.Set == "tool/pnpm":
		var out []source.Artifact
		for _, text := range q.Request {
			i := max(strings.LastIndex(text, "@"), 0)
			a, err := r.exact(ctx, wantedPackage{name: text[:i], version: strings.TrimPrefix(text[i:], "@")})
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
		return out, nil
	case strings.HasPrefix(q.Set, "tool/node") && len(q.Request) == 2:
		return r.toolchain(ctx, q)
	}
	return nil, diag.Inputf("npm-question", "npm cannot answer the question `%s`", q.Set)
}

// artifact is how the version is pinned: without its address, which is the matter of whoever fetches it.
func (v published) artifact(name string) (source.Artifact, error) {
	a := source.Artifact{Ecosystem: source.NPM, Name: name, Version: v.Version, File: path.Base(name) + "-" + v.Version + ".tgz"}
	var err error
	if a.Integrity, err = source.ParseIntegrity(v.Dist.Integrity); err != nil {
		return a, fmt.Errorf("%s %s: the registry gives no usable hash: %w", name, v.Version, err)
	}
	if u, err := url.Parse(v.Dist.Tarball); err == nil && strings.Contains(u.Path, "/-/") {
		a.File = path.Base(u.Path)
	}
	return a, nil
}

// get asks the registries in order for a document on a package, and says which had it.
func (r Resolver) get(ctx context.Context, name, doc, accept string, limit int64) ([]byte, origin.Endpoint, error) {
	eps, err := r.Endpoints.For(ctx, source.NPM)
	if err != nil {
		return nil, origin.Endpoint{}, err
	}
	eps = slices.DeleteFunc(slices.Clone(eps), func(e origin.Endpoint) bool { return !isFor(e, name) })
	if len(eps) == 0 {
		return nil, origin.Endpoint{}, diag.Environmentf("no-origin", "no npm registry is configured").
			Hint("add to hewn.toml: [mirror.npm] urls = [\"https://registry.example\"]")
	}
	var errs []error
	for _, e := range eps {
		b, err := r.Getter.Get(ctx, e, e.URL+"/"+doc, accept, limit)
		if err == nil {
			return b, e, nil
		}
		errs = append(errs, err)
	}
	return nil, origin.Endpoint{}, errors.Join(errs...)
}

// versions gives the released versions of a package that nobody has deprecated.
func (r Resolver) versions(ctx context.Context, name string) ([]candidate, error) {
	b, _, err := r.get(ctx, name, escapeName(name), short, maxPackument)
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", name, err)
	}
	var doc struct {
		Versions map[string]published `json:"versions"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("versions of %s: %w", name, err)
	}
	var out []candidate
	for text, p := range doc.Versions {
		v, err := semver.NPM.Parse(text)
		if err != nil || v.IsPrerelease() {
			continue
		}
		if d := string(p.Deprecated); d != "" && d != "false" && d != `""` {
			continue
		}
		major, _ := v.Major()
		p.Version = text
		out = append(out, candidate{published: p, version: v, major: major})
	}
	return out, nil
}

type candidate struct {
	published
	version *semver.Version
	major   int64
}

func (r Resolver) toolchain(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	nodeRange, npmRange := strings.TrimPrefix(q.Request[0], "node "), strings.TrimPrefix(q.Request[1], "npm ")
	name := nodePackage(q.Platform.OS, q.Platform.Arch, q.Platform.Libc)
	if name == "" {
		return nil, diag.Environmentf("node-platform", "there is no Node.js package for %s", q.Platform)
	}
	all, err := r.versions(ctx, name)
	if err != nil {
		return nil, err
	}
	node, err := chooseNode(all, nodeRange)
	if err != nil {
		return nil, err
	}
	if all, err = r.versions(ctx, "npm"); err != nil {
		return nil, err
	}
	npm, err := chooseNPM(all, npmRange, node)
	if err != nil {
		return nil, err
	}
	first, err := node.artifact(name)
	if err != nil {
		return nil, err
	}
	second, err := npm.artifact("npm")
	return []source.Artifact{first, second}, err
}

// chooseNode takes the newest version of the lowest major line that satisfies text.
func chooseNode(all []candidate, text string) (*candidate, error) {
	want, err := semver.NPM.ParseConstraint(text)
	if err != nil {
		return nil, diag.Inputf("node-range", "`engines.node` %q is not a range", text).Because(err)
	}
	anything := strings.TrimSpace(text) == "*"
	var best *candidate
	for i := range all {
		c := &all[i]
		switch {
		case !want.MatchVersion(c.version), anything && c.major%2 != 0:
		case best == nil, c.major == best.major && c.version.Compare(best.version) > 0, (c.major < best.major) != anything && c.major != best.major:
			best = c
		}
	}
	if best == nil {
		return nil, diag.Inputf("node-range", "no Node.js satisfies `engines.node` %q", text)
	}
	return best, nil
}

// chooseNPM takes the newest npm that satisfies text and says that it runs on node.
func chooseNPM(all []candidate, text string, node *candidate) (*candidate, error) {
	want, err := semver.NPM.ParseConstraint(text)
	if err != nil {
		return nil, diag.Inputf("node-range", "`engines.npm` %q is not a range", text).Because(err)
	}
	var best *candidate
	for i := range all {
		c := &all[i]
		runs := true
		if c.Engines.Node != "" {
			on, err := semver.NPM.ParseConstraint(c.Engines.Node)
			runs = err == nil && on.MatchVersion(node.version)
		}
		if runs && want.MatchVersion(c.version) && (best == nil || c.version.Compare(best.version) > 0) {
			best = c
		}
	}
	if best == nil {
		return nil, diag.Inputf("node-range", "no npm satisfies `engines.npm` %q on Node.js %s", text, node.Version)
	}
	return best, nil
}
