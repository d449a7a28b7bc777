package rust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
)

// maxConfig bounds a registry's config.json, which has about 100 bytes.
const maxConfig = 1 << 20

// NewLocator gives the fetch.Locator of crates. An endpoint is the root of a registry's sparse index, whose `config.json`
// says where crates lie, and is asked for once; or, where there is no such file, a directory of .crate files, as cargo's
// local registries have them.
func NewLocator() fetch.Locator {
	l := &locator{known: map[string]*registry{}}
	return l.locate
}

type locator struct {
	mu    sync.Mutex
	known map[string]*registry // by the endpoint's URL
}

// registry is what is known of one endpoint.
type registry struct {
	mu    sync.Mutex
	asked bool
	dl    string // the template for downloads; empty: a plain directory
}

func (l *locator) locate(ctx context.Context, g fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	root := strings.TrimSuffix(strings.TrimPrefix(e.URL, "sparse+"), "/")
	l.mu.Lock()
	r := l.known[root]
	if r == nil {
		r = &registry{}
		l.known[root] = r
	}
	l.mu.Unlock()
	dl, err := r.template(ctx, g, e, root)
	if err != nil {
		return fetch.Location{}, err
	}
	if dl == "" {
		return fetch.Location{Endpoint: e, URL: root + "/" + url.PathEscape(a.File)}, nil
	}
	at := download(dl, a)
	u, err := url.Parse(at)
	if err != nil {
		return fetch.Location{}, fmt.Errorf("%s: `dl` gives no URL: %w", root, err)
	}
	loc := fetch.Location{Endpoint: e, URL: at}
	if own, err := url.Parse(root); err != nil || own.Scheme != u.Scheme || own.Host != u.Host {
		loc.Endpoint = origin.Endpoint{URL: at, From: e.From} // another host gets no credentials
	}
	return loc, nil
}

// template asks an endpoint once. An error is not kept: the next crate may have more luck.
func (r *registry) template(ctx context.Context, g fetch.Getter, e origin.Endpoint, root string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked {
		return r.dl, nil
	}
	b, err := g.Get(ctx, e, root+"/config.json", "", maxConfig)
	switch {
	case errors.Is(err, fetch.ErrGone):
		r.asked = true
		return "", nil
	case err != nil:
		return "", err
	}
	var c struct {
		DL string `json:"dl"`
	}
	if err := json.Unmarshal(b, &c); err != nil || c.DL == "" {
		return "", fmt.Errorf("%s/config.json has no `dl`: this is no registry", root)
	}
	r.asked, r.dl = true, c.DL
	return r.dl, nil
}

// download fills in a registry's template; one without any marker gets the usual path.
func download(dl string, a source.Artifact) string {
	if !strings.Contains(dl, "{crate}") && !strings.Contains(dl, "{version}") && !strings.Contains(dl, "{prefix}") &&
		!strings.Contains(dl, "{lowerprefix}") && !strings.Contains(dl, "{sha256-checksum}") {
		dl = strings.TrimSuffix(dl, "/") + "/{crate}/{version}/download"
	}
	return strings.NewReplacer("{crate}", a.Name, "{version}", a.Version, "{prefix}", indexPrefix(a.Name),
		"{lowerprefix}", indexPrefix(strings.ToLower(a.Name)), "{sha256-checksum}", a.Integrity.Hex()).Replace(dl)
}

// indexPrefix is the directory of a crate in an index, which keeps directories small.
func indexPrefix(name string) string {
	switch len(name) {
	case 0:
		return ""
	case 1, 2:
		return fmt.Sprint(len(name))
	case 3:
		return "3/" + name[:1]
	}
	return name[:2] + "/" + name[2:4]
}
